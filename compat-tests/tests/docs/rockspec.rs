//! The rockspec: checks that it is valid, and that its command builds a module that Lua can load.

use std::process::Command;

use compat_tests::artefacts::{succeed, target, workspace};
use compat_tests::build_lock::BuildLock;
use compat_tests::luas::ALL;

use crate::book::files;
use crate::{artefacts, folder, read};

/// Loads the rockspec as LuaRocks does, without globals, and checks it. Prints the build command, and the feature for each Lua.
const CHECK: &str = r#"
    local path = ...
    local spec = {}
    assert(loadfile(path, "t", spec))()
    local file = path:match "[^/]+$"
    assert(file == spec.package .. "-" .. spec.version .. ".rockspec", "its name says something else")
    assert(spec.rockspec_format == "3.0")
    assert(spec.source.tag == (not spec.version:find "^scm" and "v" .. spec.version:match "^[^-]+" or nil))
    assert(spec.source.url:match "^git%+https://")
    assert(spec.description.summary and spec.description.license == "MIT")
    assert(spec.dependencies[1]:match "^lua ")
    assert(spec.build.type == "command")
    assert(spec.build.install.lib.darksidesync == "darksidesync.so")
    assert(spec.build.install.lua.dss == "dss-lua/lua/dss.lua")
    local top = path:match "^(.*)/[^/]+$":gsub("/rockspecs$", "")
    local names = {}
    for name, file in pairs(spec.build.install.lua) do
        assert(io.open(top .. "/" .. file), file):close()
        names[#names + 1] = name
    end
    local command = spec.build.build_command
    assert(spec.build.platforms.macosx.build_command == command:gsub("libdarksidesync%.so", "libdarksidesync.dylib"))
    -- Each Lua, by the feature that it needs.
    local luas = { luajit = { _VERSION = "Lua 5.1", jit = {} } }
    for minor = 1, 5 do luas["lua5" .. minor] = { _VERSION = "Lua 5." .. minor } end
    -- On Windows that Lua runs the command for Unix, up to the copying.
    local windows = spec.build.platforms.windows
    if windows then
        assert(windows.install.lib.darksidesync == "darksidesync.dll")
        local run, copy = windows.build_command:match '^"%$%(LUA%)" %-e "([^"%%]*)" && (.*)$'
        assert(copy == [[copy /y target\release\darksidesync.dll darksidesync.dll]], copy)
        -- What `os.execute` returns in old and new Luas, and the exit code that is wanted.
        for feature, globals in pairs(luas) do
            for _, result in ipairs { { 0, 0 }, { true, 0 }, { 1, 1 }, { nil, 1 } } do
                local ran, code
                globals.os = {
                    execute = function(text) ran = text return result[1] end,
                    exit = function(exit) code = exit end,
                }
                assert(load(run, "=run", "t", globals))()
                assert(ran == command:match "^(cargo .-) `" .. " " .. feature, ran)
                assert(code == result[2], feature)
            end
        end
    end
    table.sort(names)
    print(table.concat(names, " "))
    print(command)
    local choose = command:match '"%$%(LUA%)" %-e "(.-)"`'
    local function feature(globals)
        local chosen
        globals.io = { write = function(text) chosen = text end }
        assert(load(choose, "=choose", "t", globals))()
        return chosen
    end
    for minor = 1, 5 do print(feature { _VERSION = "Lua 5." .. minor }) end
    print(feature { _VERSION = "Lua 5.1", jit = {} })
"#;

/// Checks the rockspec of the tree, and builds with it.
///
/// # Panics
/// Something is wrong with the rockspec.
pub(crate) fn check() {
    let path = workspace().join("darksidesync-scm-1.rockspec");
    let manifest = read("Cargo.toml");
    let version =
        manifest.split("version = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a version");
    let host = artefacts().host();
    let output = succeed(Command::new(&host).arg("-e").arg(CHECK).arg(&path));
    let mut lines = output.lines();
    let modules = lines.next().expect("the modules are printed first");
    let there = files("dss-lua/lua", "lua")
        .into_iter()
        .map(|file| file.trim_start_matches("dss-lua/lua/").trim_end_matches(".lua").replace('/', "."));
    let mut there: Vec<_> = there.collect();
    there.sort();
    assert_eq!(modules, there.join(" "), "the modules that it installs");
    let build = lines.next().expect("the command comes next");
    let rockspec = read("darksidesync-scm-1.rockspec");
    assert!(
        rockspec.contains(r#"supported_platforms = { "unix", "windows" }"#),
        "the platforms of the rockspec"
    );
    let features = read("dss-lua/Cargo.toml");
    assert_eq!(lines.clone().collect::<Vec<_>>(), ALL.map(|lua| lua.0), "the features that the Luas ask for");
    for feature in lines {
        assert!(features.contains(&format!("\n{feature} = [")), "dss-lua has no feature {feature}");
    }
    assert!(build.contains("--package dss-lua ") && features.contains("name = \"dss-lua\""));
    // The command that LuaRocks runs, with other output folders.
    let built = target().join("cargo");
    let output = folder("rock").join("darksidesync.so");
    let ending = if cfg!(target_os = "macos") { "dylib" } else { "so" };
    let build = build
        .replace("libdarksidesync.so", &format!("libdarksidesync.{ending}"))
        .replace("$(LUA)", &host.display().to_string())
        // The profile in which the tests have built it already.
        .replace(" --release", " --profile compat")
        .replace("target/release/", "target/compat/")
        .replace("--target-dir target", &format!("--target-dir {}", built.display()))
        .replace(" target/", &format!(" {}/", built.display()))
        .replace(&format!("{ending} darksidesync.so"), &format!("{ending} {}", output.display()));
    let mut command = Command::new("sh");
    command.arg("-ec").arg(&build).current_dir(workspace());
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(variable);
    }
    let lock = BuildLock::acquire(&target());
    succeed(&mut command);
    drop(lock);
    let folder = folder("rock");
    let mut command = Command::new(&host);
    command.arg("--cpath").arg(folder.join("?.so")).arg("-e").arg("print(require('darksidesync')._VERSION)");
    assert_eq!(succeed(&mut command).trim(), format!("DarkSideSync {version}"));
}

/// Checks a rockspec of a release.
///
/// # Panics
/// It is not valid, or the release is not known.
pub(crate) fn check_released(file: &str) {
    succeed(Command::new(artefacts().host()).arg("-e").arg(CHECK).arg(workspace().join(file)));
    let version = file.split('-').nth(1).expect("its name has the version");
    assert!(workspace().join("compat-tests/releases").join(version).exists(), "{version} is no release");
}
