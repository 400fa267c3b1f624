//! What is refused of a file that a name led to, and what is said where it led to none.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(loom)))]

mod images;

use std::fs;
use std::path::Path;

use dss_impl::load::LoadError;
use dss_impl::registry::look_up;
use images::{Record, elf};

/// Writes a library that declares itself by this name.
fn write(file: &Path, name: &'static [u8]) {
    let record = Record { name, ..Record::new() }.bytes();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, elf(&[(".dss.library", &record)])).unwrap();
}

#[test]
fn a_library_by_the_name_that_a_linker_gives_is_told_and_how_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let path = format!("/nowhere/?.so;{root}/?.so");
    let refused = |name: &str, path: &str| look_up(name, path, None).unwrap_err();

    write(&folder.path().join("libredis.so"), b"redis");
    let listed = format!(
        "library 'redis' not found:\n\tno file '/nowhere/redis.so'\n\tno file '{root}/redis.so': there is 'libredis.so', \
         but DSS does not put 'lib' before a name"
    );
    let told = format!(
        "{listed}\n{root}/libredis.so is redis 1.2.3: rename it to redis.so, or add {root}/lib?.so to DSS_PATH"
    );
    assert_eq!(refused("redis", &path), LoadError::NotFound(told));
    // And so it is.
    let (file, declared) = look_up("redis", &format!("{path};{root}/lib?.so"), None).unwrap();
    assert_eq!((file, declared.name.as_str()), (folder.path().join("libredis.so"), "redis"));
    fs::rename(folder.path().join("libredis.so"), folder.path().join("redis.so")).unwrap();
    look_up("redis", &path, None).unwrap();

    write(&folder.path().join("net/libhttp.so"), b"net.http");
    let LoadError::NotFound(told) = refused("net.http", &path) else { panic!("it was refused") };
    assert!(
        told.ends_with(&format!("\n{root}/net/libhttp.so is net.http 1.2.3: rename it to net/http.so")),
        "{told}"
    );

    // One that is not the library that is wanted is not to be renamed.
    write(&folder.path().join("libz.so"), b"zlib");
    fs::write(folder.path().join("libm.so"), "/* GNU ld script */").unwrap();
    for name in ["z", "m"] {
        let told = refused(name, &path).to_string();
        assert!(
            told.ends_with(&format!("there is 'lib{name}.so', but DSS does not put 'lib' before a name")),
            "{told}"
        );
    }
}

#[test]
fn a_file_by_another_name_is_refused_with_the_one_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    for (file, name, called) in
        [("libredis", &b"redis"[..], "redis.so"), ("http", b"net.http", "net/http.so")]
    {
        write(&folder.path().join(format!("{file}.so")), name);
        let name = str::from_utf8(name).unwrap();
        assert_eq!(
            look_up(file, &format!("{root}/?.so"), None).unwrap_err(),
            LoadError::Refused(format!(
                "{root}/{file}.so was found for {file}, but its declared name is {name}: rename the file to {called}, and load {name}"
            ))
        );
    }
    // A path is no name that it could have.
    look_up(&format!("{root}/libredis.so"), "", None).unwrap();
}
