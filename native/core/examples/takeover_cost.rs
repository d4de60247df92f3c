//! How long a takeover takes: fills a store, leaves it behind, adopts a copy of it. `takeover_cost MIB VALUE_BYTES`.

use ramcache_core::open::{open, Start, SHARED_MEMORY_DIR};
use ramcache_core::ops::WriteRequest;
use ramcache_core::record::RecordBuffer;
use ramcache_core::store::{Counting, StoreOptions};
use std::path::Path;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse().expect("a number")).collect();
    let (mib, value_bytes) =
        (numbers.first().copied().unwrap_or(256), numbers.get(1).copied().unwrap_or(100));
    let options = StoreOptions { budget_bytes: mib << 20, counting: Counting::Everything, background: false };
    let shared = Path::new(SHARED_MEMORY_DIR);
    let dir = shared.join(format!("ramcache-cost-{}", std::process::id()));
    let copy = dir.join("copy");
    let owned = open(&dir, &options, shared).expect("a fresh directory opens");
    let (value, mut buffer) = (vec![7; value_bytes], RecordBuffer::default());
    for number in 0.. {
        let key = format!("key:{number}");
        let request = WriteRequest { key: key.as_bytes(), value: &value, ..WriteRequest::default() };
        owned.store().set(&request, &mut buffer).expect("set");
        if owned.store().spill().totals().0 > 0 {
            break;
        }
    }
    let text = std::fs::read_to_string(dir.join("owner")).expect("announced");
    std::fs::create_dir(&copy).expect("a directory can be made");
    let mut owner = text.clone();
    for kind in ["data", "touch"] {
        let start = text.find(&format!("\"{kind}\": \"")).expect("named") + kind.len() + 5;
        let path = text[start..].split('"').next().expect("quoted");
        let target = copy.join(format!("ramcache-copy.{kind}")).display().to_string();
        // Holes stay holes: a copy by bytes would be eight times as large.
        let status = std::process::Command::new("cp").args(["--sparse=always", path, &target]).status();
        assert!(status.expect("cp runs").success());
        owner = owner.replace(path, &target);
    }
    std::fs::write(copy.join("owner"), owner).expect("written");
    let began = std::time::Instant::now();
    let adopted = open(&copy, &options, shared).expect("it opens");
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let Start::Adopted(adoption) = adopted.start() else { panic!("{:?}", adopted.start()) };
    println!("{adoption:?}\n{ms:.0} ms, {:.0} ms for each GiB", ms * 1024.0 / mib as f64);
    adopted.close();
    owned.close();
    let _ = std::fs::remove_dir_all(&dir);
}
