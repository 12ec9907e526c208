//! The command line.

fn main() {
    println!("flagstone {}", env!("CARGO_PKG_VERSION"));
}
