//! Each scenario in each Lua, in a process of its own: what `scenarios/*.lua` declare.
//!
//! A scenario is a line `scenario("name", ...)`, or `scenario("name", { only = "lua54 lua55" }, ...)` where some Luas
//! cannot have what it is about, or `{ needs = "socket" }` for what the machine may lack.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, workspace};
use compat_tests::luas::{ALL, Lua};
use compat_tests::run::limited;
use libtest_mimic::{Arguments, Trial};

struct Scenario {
    file: PathBuf,
    name: String,
    only: Option<String>,
    needs: Option<String>,
}

fn main() {
    let arguments = Arguments::from_args();
    let scenarios = scenarios();
    let mut trials = Vec::new();
    for lua in ALL {
        for scenario in &scenarios {
            let here = scenario.only.as_ref().is_none_or(|only| only.split(' ').any(|one| one == lua.0));
            let can = scenario.needs.as_ref().is_none_or(|needs| needs.split(' ').all(|one| has(lua, one)));
            if here && can {
                let group = scenario.file.file_stem().expect("a file").to_string_lossy().into_owned();
                let (file, name) = (scenario.file.clone(), scenario.name.clone());
                trials.push(Trial::test(format!("{lua}::{group}::{name}"), move || run(lua, &file, &name)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn scenarios() -> Vec<Scenario> {
    let folder = workspace().join("compat-tests/scenarios");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the scenarios lie there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lua"))
        .collect();
    files.sort();
    files.iter().flat_map(|file| declared(file)).collect()
}

/// The text between the quotes that follow `key` in `line`.
fn quoted(line: &str, key: &str) -> Option<String> {
    let (_, rest) = line.split_once(key)?;
    rest.split('"').nth(1).map(str::to_owned)
}

fn declared(file: &Path) -> Vec<Scenario> {
    let text = fs::read_to_string(file).expect("a scenario file");
    text.lines()
        .filter(|line| line.starts_with("scenario("))
        .map(|line| Scenario {
            file: file.to_owned(),
            name: quoted(line, "scenario(").expect("a scenario has a name"),
            only: quoted(line, "only ="),
            needs: quoted(line, "needs ="),
        })
        .collect()
}

/// The folders in which a system's packages put modules for `lua`.
fn system_modules(lua: Lua) -> Vec<PathBuf> {
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let version = lua.folder();
    vec![
        PathBuf::from(format!("/usr/share/lua/{version}")),
        PathBuf::from(format!("/usr/lib/{multiarch}/lua/{version}")),
    ]
}

fn has(lua: Lua, need: &str) -> bool {
    let present = match need {
        "socket" => system_modules(lua).iter().any(|folder| folder.join("socket/core.so").exists()),
        "copas" => system_modules(lua).iter().any(|folder| folder.join("copas.lua").exists()),
        "interpreter" => system_interpreter(lua).is_some(),
        other => panic!("no scenario can need `{other}`"),
    };
    // The gate says that what it installed must be there. Debian 12 has nothing for 5.5, and copas up to 5.2.
    let packaged = match need {
        "copas" => ["lua51", "lua52", "luajit"].contains(&lua.0),
        _ => lua.0 != "lua55",
    };
    assert!(
        present || !packaged || std::env::var_os("DSS_REQUIRE_SYSTEM_LUA").is_none(),
        "{need} for {lua} is missing, and DSS_REQUIRE_SYSTEM_LUA says that it must be here"
    );
    present
}

fn system_interpreter(lua: Lua) -> Option<PathBuf> {
    let name = match lua.0 {
        "luajit" => "luajit".to_owned(),
        _ => format!("lua{}", lua.folder()),
    };
    let path = PathBuf::from("/usr/bin").join(name);
    path.exists().then_some(path)
}

fn run(lua: Lua, file: &Path, name: &str) -> Result<(), libtest_mimic::Failed> {
    let artefacts = Artefacts::of(lua);
    let mut command = artefacts.command(&system_modules(lua));
    command.arg(workspace().join("compat-tests/scenarios/lib/runner.lua")).arg(file).arg(name);
    command.env("DSS_TEST_FOLDER", &artefacts.folder);
    if let Some(interpreter) = system_interpreter(lua) {
        command.env("DSS_TEST_INTERPRETER", interpreter);
    }
    let ended = limited(&mut command, Duration::from_secs(120));
    if ended.succeeded() { Ok(()) } else { Err(ended.report().into()) }
}
