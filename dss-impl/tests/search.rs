//! From names to files, and the messages of what is not found.
#![cfg(not(loom))]

use std::fs;

use dss_impl::search::{BadName, NotFound, check_name, find, templates};

fn bad(name: &str) -> String {
    let bad = check_name(name).unwrap_err();
    assert_eq!(find(name, "?"), Err(NotFound::Name(bad.clone())));
    assert_eq!(find(name, "?").unwrap_err().to_string(), bad.to_string());
    bad.to_string()
}

#[test]
fn names_are_checked() {
    for name in ["fswatch", "a", "my.lib_2-x", "0", "-", &"x".repeat(63)] {
        check_name(name).unwrap();
    }
    assert_eq!(bad(""), "a library's name is empty: a name must have at least one character");
    assert_eq!(bad(&"x".repeat(64)), "a library's name is too long: a name may have at most 63 bytes");
    assert_eq!(bad(".hidden"), "\".hidden\" is not a valid library name: a name must not begin with a dot");
    assert_eq!(
        bad("a b"),
        "\"a b\" is not a valid library name: a name may contain only letters, digits, `_`, `-` and `.`, not ' '"
    );
    assert_eq!(
        bad("a\0b"),
        "\"a\\0b\" is not a valid library name: a name may contain only letters, digits, `_`, `-` and `.`, not '\\0'"
    );
    assert!(matches!(check_name("größe"), Err(BadName::Character { found: 'ö', .. })));
    assert!(matches!(check_name("a;b"), Err(BadName::Character { found: ';', .. })));
    assert!(matches!(check_name("a?"), Err(BadName::Character { found: '?', .. })));
    let relative = "is not a valid library name: relative paths are not supported: use the name alone, or an absolute path";
    assert_eq!(bad("./fswatch.so"), format!("\"./fswatch.so\" {relative}"));
    assert_eq!(bad("../fswatch"), format!("\"../fswatch\" {relative}"));
    assert_eq!(bad("lib\\fswatch"), format!("\"lib\\\\fswatch\" {relative}"));
}

#[test]
fn the_first_file_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    fs::create_dir_all(folder.path().join("one/net")).unwrap();
    fs::create_dir_all(folder.path().join("two/net/http.so")).unwrap(); // a folder is in nobody's way
    fs::write(folder.path().join("one/net/http.so"), "").unwrap();
    fs::write(folder.path().join("one/fswatch.so"), "").unwrap();
    fs::write(folder.path().join("one/fswatch-fswatch.so"), "").unwrap();
    let path = format!("{root}/two/?.so;;{root}/one/?.so;{root}/one/?-?.so");

    let one = folder.path().join("one");
    assert_eq!(find("fswatch", &path).unwrap(), one.join("fswatch.so"));
    assert_eq!(find("net.http", &path).unwrap(), one.join("net/http.so"));
    assert_eq!(find("fswatch", &format!("{root}/one/?-?.so")).unwrap(), one.join("fswatch-fswatch.so"));
    // A dot in a name is the separator of the system's paths, as in `package.cpath`.
    let smtp = format!("net{}smtp", std::path::MAIN_SEPARATOR);
    assert_eq!(
        find("net.smtp", &path).unwrap_err().to_string(),
        format!(
            "library 'net.smtp' not found:\n\tno file '{root}/two/{smtp}.so'\n\tno file '{root}/one/{smtp}.so'\n\t\
             no file '{root}/one/{smtp}-{smtp}.so'"
        )
    );
    assert_eq!(
        find("fswatch", "").unwrap_err().to_string(),
        "library 'fswatch' not found:\n\tthe search path is empty"
    );
}

#[test]
fn an_absolute_path_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("any name, even ö.so");
    fs::write(&file, "").unwrap();
    assert_eq!(find(file.to_str().unwrap(), "/nowhere/?.so").unwrap(), file);
    assert_eq!(find(folder.path().to_str().unwrap(), "").unwrap(), folder.path());
    assert_eq!(
        find("/nowhere/x.so", "/else/?.so").unwrap_err().to_string(),
        "library '/nowhere/x.so' not found:\n\tno file '/nowhere/x.so'"
    );
}

/// What stands in a file's place is said: all of these would be "no file" otherwise.
#[cfg(unix)]
#[test]
fn what_stands_in_the_place_of_a_file_is_named() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let not_found = |name: &str, path: &str| find(name, path).unwrap_err().to_string();
    fs::create_dir(folder.path().join("later")).unwrap();
    let path = format!("{root}/?.so;{root}/later/?.so");

    // A link, and one that leads to it: it is the second that has to be mended.
    symlink("fswatch-1.2.so", folder.path().join("fswatch.so")).unwrap();
    symlink("fswatch.so", folder.path().join("watch.so")).unwrap();
    symlink("/nowhere/at/all.so", folder.path().join("elsewhere.so")).unwrap();
    symlink("itself.so", folder.path().join("itself.so")).unwrap();
    let link = |link: &str, target: &str| {
        format!(
            "library '{}' not found:\n\tno file '{root}/{link}.so': it is a link to '{target}', which does not exist",
            link
        )
    };
    let later = |name: &str| format!("\n\tno file '{root}/later/{name}.so'");
    assert_eq!(
        not_found("fswatch", &path),
        link("fswatch", &format!("{root}/fswatch-1.2.so")) + &later("fswatch")
    );
    assert_eq!(not_found("watch", &path), link("watch", &format!("{root}/fswatch-1.2.so")) + &later("watch"));
    assert_eq!(not_found("elsewhere", &path), link("elsewhere", "/nowhere/at/all.so") + &later("elsewhere"));
    assert_eq!(
        not_found("itself", &path),
        format!(
            "library 'itself' not found:\n\tno file '{root}/itself.so': it is a link that leads back to itself"
        ) + &later("itself")
    );
    let absolute = format!("{root}/fswatch.so");
    assert_eq!(
        not_found(&absolute, ""),
        format!(
            "library '{absolute}' not found:\n\tno file '{absolute}': it is a link to \
             '{root}/fswatch-1.2.so', which does not exist"
        )
    );
    // It is in nobody's way, as before.
    fs::write(folder.path().join("later/fswatch.so"), "").unwrap();
    assert_eq!(find("fswatch", &path).unwrap(), folder.path().join("later/fswatch.so"));

    fs::create_dir(folder.path().join("net.so")).unwrap();
    assert_eq!(
        not_found("net", &path),
        format!("library 'net' not found:\n\tno file '{root}/net.so': it is a folder") + &later("net")
    );
}

/// `libNAME.so` is what cargo makes. It is not looked for, and said; a template can ask for it.
#[cfg(unix)]
#[test]
fn a_file_with_the_prefix_of_libraries_is_named_and_a_template_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    fs::create_dir(folder.path().join("net")).unwrap();
    fs::write(folder.path().join("libredis.so"), "").unwrap();
    fs::write(folder.path().join("net/libhttp.so"), "").unwrap();
    let path = format!("/nowhere/?.so;{root}/?.so");
    assert_eq!(
        find("redis", &path).unwrap_err().to_string(),
        format!(
            "library 'redis' not found:\n\tno file '/nowhere/redis.so'\n\t\
             no file '{root}/redis.so': there is 'libredis.so', but DSS does not put 'lib' before a name"
        )
    );
    assert_eq!(
        find("net.http", &path).unwrap_err().to_string(),
        format!(
            "library 'net.http' not found:\n\tno file '/nowhere/net/http.so'\n\t\
             no file '{root}/net/http.so': there is 'libhttp.so', but DSS does not put 'lib' before a name"
        )
    );
    assert_eq!(find("libredis", &path).unwrap(), folder.path().join("libredis.so"));
    let path = format!("{path};{root}/lib?.so");
    assert_eq!(find("redis", &path).unwrap(), folder.path().join("libredis.so"));
    // What stands first is found first, whatever its name begins with.
    fs::write(folder.path().join("redis.so"), "").unwrap();
    assert_eq!(find("redis", &path).unwrap(), folder.path().join("redis.so"));
    // An absolute path is a file's, and not a name.
    let absolute = format!("{root}/none/redis.so");
    assert_eq!(
        find(&absolute, &path).unwrap_err().to_string(),
        format!("library '{absolute}' not found:\n\tno file '{absolute}'")
    );
}

#[test]
fn what_is_found_is_absolute() {
    // Tests run in the folder of their package.
    let found = find("Cargo", "./?.toml").unwrap();
    assert!(found.is_absolute() && found.ends_with("Cargo.toml"), "{}", found.display());
    assert!(find("Cargo", "?.toml").unwrap().is_absolute());
}

#[test]
fn two_semicolons_stand_for_the_default() {
    assert_eq!(templates(None, "d"), "d");
    assert_eq!(templates(Some("a"), "d"), "a");
    assert_eq!(templates(Some(""), "d"), "");
    assert_eq!(templates(Some(";;"), "d"), "d");
    assert_eq!(templates(Some(";;a"), "d"), "d;a");
    assert_eq!(templates(Some("a;;"), "d"), "a;d");
    assert_eq!(templates(Some("a;;b"), "d;e"), "a;d;e;b");
}
