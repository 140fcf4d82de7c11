fn main() {
    let mut state: u32 = 1;
    let mut numbers: Vec<u32> = (0..1_000_000)
        .map(|_| {
            state = state.wrapping_mul(1103515245).wrapping_add(12345) & 0x7fffffff;
            state
        })
        .collect();
    numbers.sort();
    println!("{} {} {}", numbers[0], numbers[500_000], numbers[999_999]);
}
