//! t
use stack::toolchain::*;
fn main() {
    let root = Toolchain::workspace();
    let p = |l: &str| eprintln!("{l}");
    let t = std::time::Instant::now();
    let tc = Toolchain::prepare(&root, &p).unwrap();
    eprintln!("prepare {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let b = tc.build(&Worker::edge(&root), &p);
    eprintln!("build {:?} {}", t.elapsed(), b.map_or_else(|e| e.to_string(), |b| format!("{b:?}")));
    let t = std::time::Instant::now();
    match tc.dry_run(&p) {
        Ok(d) => println!("{:?} {d:#?}", t.elapsed()),
        Err(e) => println!("{e}"),
    }
}
