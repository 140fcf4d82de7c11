/* Eratosthenes, ten times over: byte stores with a stride, and nothing else. */
const SIZE: usize = 2_000_000;

fn count(composite: &mut [u8]) -> usize {
    composite.fill(0);
    let mut found = 0;
    for n in 2..composite.len() {
        if composite[n] == 0 {
            found += 1;
            let mut multiple = n * n;
            while multiple < composite.len() {
                composite[multiple] = 1;
                multiple += n;
            }
        }
    }
    found
}

fn main() {
    let mut composite = vec![0u8; SIZE];
    let total: usize = (0..10).map(|_| count(&mut composite)).sum();
    println!("{total}");
}
