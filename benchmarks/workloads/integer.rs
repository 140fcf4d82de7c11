fn main() {
    let mut total: u32 = 0;
    for i in 0..100_000_000u32 {
        total = total.wrapping_mul(31).wrapping_add(i) ^ (total >> 7);
    }
    println!("{total}");
}
