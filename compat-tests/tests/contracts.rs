//! Checks that what is published does not change: the C header, the layouts, and the frozen files of each release.
//!
//! `DSS_BLESS=1 cargo test --test contracts` writes the generated files again. The checksums of the releases decide whether they
//! may change.

use std::env;
use std::fs;
use std::process::Command;

use compat_tests::artefacts::{succeed, target, workspace};
use compat_tests::freeze::{self, FROZEN};
use compat_tests::frozen;
use compat_tests::standalone::version_in;
use semver::Version;

/// Compares a generated text with the file in the tree.
fn fresh(path: &str, generated: &str) {
    let path = workspace().join(path);
    if env::var_os("DSS_BLESS").is_some() {
        fs::write(&path, generated).expect("the tree can be written to");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    if found != generated {
        let line = found.lines().zip(generated.lines()).position(|(found, generated)| found != generated);
        let line = line.unwrap_or_else(|| found.lines().count().min(generated.lines().count()));
        panic!(
            "{} is stale from line {} on: it has {:?}, and what it is generated from gives {:?}; run \
             `DSS_BLESS=1 cargo test --test contracts`",
            path.display(),
            line + 1,
            found.lines().nth(line),
            generated.lines().nth(line),
        );
    }
}

#[test]
fn the_c_header_is_what_cbindgen_makes_of_the_crate() {
    let folder = workspace().join("dss-abi/c1v0");
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("a configuration");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(folder.join("src/lib.rs"))
        .generate()
        .expect("a header");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).expect("text");
    fresh("dss-abi/c1v0/include/darksidesync_api.h", &header);
    // cbindgen does not support string constants, so these are in its configuration.
    for (name, value) in [
        ("DSS_REGISTRY_NAME", dss_abi_c1v0::DSS_REGISTRY_NAME),
        ("DSS_VERSION_KEY", dss_abi_c1v0::DSS_VERSION_KEY),
        ("DSS_API_1V0_KEY", dss_abi_c1v0::DSS_API_1V0_KEY),
    ] {
        let line = format!("#define {name} \"{value}\"");
        assert!(header.lines().any(|found| found == line), "the header lacks `{line}`");
    }
}

/// Each layout and constant of the Rust types is what a C compiler makes of the header.
#[test]
fn the_header_of_c2v0_and_its_rust_types_are_the_same() {
    use std::mem::{align_of, offset_of, size_of};

    use dss_abi_c2v0 as c;

    let mut expected = Vec::new();
    macro_rules! sizes {
        ($($record:ident { $($field:ident $(as $name:literal)?),* })*) => {$(
            let name = stringify!($record);
            let tag = if name == "dss_declaration" { "struct dss_declaration" } else { name };
            expected.push((format!("sizeof({tag})"), size_of::<c::$record>() as i64));
            // A C90 compiler has no `alignof`: the offset behind a byte is that.
            expected.push((format!("offsetof(struct {{ char c; {tag} r; }}, r)"), align_of::<c::$record>() as i64));
            $(
                #[allow(unused_mut, unused_assignments)]
                let mut field = stringify!($field);
                $(field = $name;)?
                expected.push((format!("offsetof({tag}, {field})"), offset_of!(c::$record, $field) as i64));
            )*
        )*};
    }
    macro_rules! constants {
        ($($name:ident)*) => {$( expected.push((stringify!($name).to_owned(), i64::from(c::$name))); )*};
    }
    sizes! {
        dss_value { kind, count, payload as "as", size }
        dss_object { cls, data }
        dss_method { name, run, data }
        dss_class { size, reserved, name, methods, close, text, drop }
        dss_limits { size, policy, items, bytes, wait_ns }
        dss_delivery { size, channel, callback, values, count, key, key_size }
        dss_answer { size, ended, values, count, error, traceback }
        dss_definition { size, flags, functions, classes, limits, open, closing, release }
        dss_declaration {
            magic, size, revision, flags, reserved, interface as "interface_", abi, name, version,
            requires as "requires_", compiler, header
        }
        dss_api {
            size, reserved, library, state, data, result, raise, bad_argument, retain, release, deliver,
            deliver_many, request, wait, cancel, cancel_all, hold, let_go, keep_alive, limit, open_channel,
            close_channel, unregister, on_lua_thread, strerror, extension
        }
    }
    constants! {
        DSS_OK DSS_INVALID_LIBRARY DSS_STOPPING DSS_OUT_OF_MEMORY DSS_WOULD_DEADLOCK DSS_FULL DSS_TIMED_OUT
        DSS_INVALID_CALLBACK DSS_TOO_DEEP DSS_TOO_LARGE DSS_MALFORMED DSS_RAISED DSS_INVALID_CALL DSS_TOO_LATE
        DSS_INVALID_CHANNEL DSS_NOT_YOURS DSS_NIL DSS_BOOLEAN DSS_INTEGER DSS_NUMBER DSS_STRING DSS_LIST DSS_MAP
        DSS_CALLBACK DSS_OBJECT DSS_REFUSE DSS_WAIT DSS_DROP_OLDEST DSS_LATEST DSS_ANSWERED DSS_FAILED
        DSS_COLLECTED DSS_CANCELLED DSS_CLOSED DSS_LATE DSS_DROPPED DSS_NOT_STARTED DSS_KEEPS_ALIVE
    }
    let folder = target().join("contracts");
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    let lines: Vec<_> = expected.iter().map(|(what, _)| format!("  P({what});\n")).collect();
    let program = format!(
        "#include \"dss.h\"\n#define P(x) printf(\"%lld\\n\", (long long)(x))\nint main(void) {{\n{}  printf(\"%s\\n\", \
         DSS_INTERFACE);\n  return 0;\n}}\n",
        lines.concat()
    );
    fs::write(folder.join("layout.c"), program).expect("the target folder can be written to");
    let binary = folder.join("layout");
    let mut compile = Command::new("cc");
    compile.arg("-I").arg(compat_tests::c2v0::include()).arg(folder.join("layout.c")).arg("-o").arg(&binary);
    succeed(&mut compile);
    let said = succeed(&mut Command::new(&binary));
    let mut said = said.lines();
    for (what, value) in &expected {
        assert_eq!(said.next(), Some(value.to_string().as_str()), "{what}");
    }
    assert_eq!(said.next(), Some(c::VERSION));
    let header = fs::read_to_string(compat_tests::c2v0::include().join("dss.h")).expect("the header");
    assert!(header.contains(c::ENTRY_SYMBOL), "the symbol is in the macro");
}

#[test]
fn the_layouts_of_v1_are_those_on_file() {
    if cfg!(target_pointer_width = "64") {
        fresh("dss-abi/v1/layout.txt", &dss_abi_v1::layout::dump());
    }
}

#[test]
fn the_layouts_of_v2_are_those_on_file() {
    if cfg!(target_pointer_width = "64") {
        fresh("dss-abi/v2/layout.txt", &dss_abi_v2::layout::dump());
    }
}

#[test]
fn a_published_revision_is_in_the_tree_as_it_was_released() {
    let found: Vec<_> = freeze::differences(workspace()).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// While the changelog has an unreleased section, a crate may have a version that is newer than the frozen one.
#[test]
fn every_revision_that_was_released_is_frozen() {
    let changes = fs::read_to_string(workspace().join("CHANGELOG.md")).expect("the tree has one");
    let is_unreleased = changes.contains("\n## Unreleased\n");
    for (package, folder) in FROZEN {
        let version: Version = version_in(&workspace().join(folder)).parse().expect("semver");
        let is_frozen = |it: &frozen::FrozenCrate| it.version == version;
        let is_patched = |it: &frozen::FrozenCrate| is_unreleased && it.version < version;
        assert!(
            frozen::crates().iter().any(|it| it.name == package && (is_frozen(it) || is_patched(it))),
            "{package} {version} is in no folder of compat-tests/releases: a release freezes it"
        );
    }
}
