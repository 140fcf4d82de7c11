fn main() {
    let (mut x, mut total) = (0.5f64, 0.0f64);
    for _ in 0..10_000_000 {
        x = 3.7 * x * (1.0 - x);
        total += x;
    }
    println!("{total}");
}
