//! Copies of an arena's files, announced in a directory of their own, as an owner that died would leave them.

use ramcache_core::arena::Words;
use ramcache_core::open::{open, OwnedStore, SHARED_MEMORY_DIR};
use ramcache_core::store::StoreOptions;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::Arc;

pub struct Copies {
    pub dir: PathBuf,
    pub data: PathBuf,
    pub touch: PathBuf,
}

/// Paths of the data and the touch file, and the whole text of `owner`.
pub fn announced(dir: &Path) -> (PathBuf, PathBuf, String) {
    let text = std::fs::read_to_string(dir.join("owner")).expect("an arena was announced");
    let path = |name: &str| {
        let rest = text.split_once(&format!("\"{name}\": \"")).expect("named there").1;
        PathBuf::from(rest.split_once('"').expect("quoted").0)
    };
    (path("data"), path("touch"), text.clone())
}

impl Copies {
    pub fn of(dir: &Path) -> Copies {
        let (data, touch, owner) = announced(dir);
        let name = super::support::fresh_dir();
        let dir = Path::new(SHARED_MEMORY_DIR).join(name.file_name().expect("a name"));
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        let copies =
            Copies { data: dir.join("ramcache-copy.data"), touch: dir.join("ramcache-copy.touch"), dir };
        std::fs::copy(&data, &copies.data).expect("the data file can be copied");
        std::fs::copy(&touch, &copies.touch).expect("the touch file can be copied");
        let text = |path: &Path| path.display().to_string();
        let owner =
            owner.replace(&text(&data), &text(&copies.data)).replace(&text(&touch), &text(&copies.touch));
        std::fs::write(copies.dir.join("owner"), owner).expect("the owner file can be written");
        copies
    }

    pub fn open(&self, options: &StoreOptions) -> Arc<OwnedStore> {
        open(&self.dir, options, Path::new(SHARED_MEMORY_DIR)).expect("the directory opens")
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Changes a word of a copied data file.
pub fn put(copies: &Copies, word: usize, value: u64) {
    let words = Words::attach(&copies.data, true).expect("the copy can be mapped");
    words.word(word).store(value, Ordering::Relaxed);
}
