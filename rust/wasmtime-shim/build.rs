// Copies Wasmtime's C headers, rendered for the enabled features, to where CMake looks for them.

use std::path::Path;
use std::{env, fs, io};

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn main() {
    println!("cargo:rerun-if-env-changed=WTX_HEADER_OUT");
    let Ok(target) = env::var("WTX_HEADER_OUT") else { return };
    let source = env::var("DEP_WASMTIME_C_API_INCLUDE").expect("set by wasmtime-c-api-impl's build script");
    copy_tree(Path::new(&source), Path::new(&target)).expect("headers can be copied");
}
