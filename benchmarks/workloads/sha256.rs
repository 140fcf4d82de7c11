/* The standard library has none: constants from the primes, then FIPS 180-4. */
fn root_bits(prime: u32, cubic: bool) -> u32 {
    let root = if cubic { (prime as f64).cbrt() } else { (prime as f64).sqrt() };
    (root.fract() * 4294967296.0) as u32
}

fn compress(state: &mut [u32; 8], constants: &[u32; 64], block: &[u8]) {
    let mut words = [0u32; 64];
    for n in 0..16 {
        words[n] = u32::from_be_bytes([block[4 * n], block[4 * n + 1], block[4 * n + 2], block[4 * n + 3]]);
    }
    for n in 16..64 {
        let (a, b) = (words[n - 15], words[n - 2]);
        let low = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
        let high = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
        words[n] = words[n - 16].wrapping_add(low).wrapping_add(words[n - 7]).wrapping_add(high);
    }
    let mut v = *state;
    for n in 0..64 {
        let sum = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
        let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
        let first = v[7].wrapping_add(sum).wrapping_add(choice).wrapping_add(constants[n]).wrapping_add(words[n]);
        let sum = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
        let second = sum.wrapping_add((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        v = [first.wrapping_add(second), v[0], v[1], v[2], v[3].wrapping_add(first), v[4], v[5], v[6]];
    }
    for n in 0..8 {
        state[n] = state[n].wrapping_add(v[n]);
    }
}

fn main() {
    let primes: Vec<u32> = (2..312u32).filter(|&n| (2..n).all(|d| n % d != 0)).collect();
    let (mut state, mut constants) = ([0u32; 8], [0u32; 64]);
    for n in 0..8 {
        state[n] = root_bits(primes[n], false);
    }
    for n in 0..64 {
        constants[n] = root_bits(primes[n], true);
    }
    let block: Vec<u8> = (0..65536u32).map(|n| n as u8).collect();
    for _ in 0..256 {
        for part in block.chunks(64) {
            compress(&mut state, &constants, part);
        }
    }
    let mut last = [0u8; 64];
    last[0] = 0x80;
    last[56..].copy_from_slice(&(256u64 * 65536 * 8).to_be_bytes());
    compress(&mut state, &constants, &last);
    println!("{}", state.iter().map(|word| format!("{word:08x}")).collect::<String>());
}
