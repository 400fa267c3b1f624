//! What `benches/others.rs` measures does its work: every item comes, in order, and every request is answered. The tests are named
//! `LUA::CONTENDER`. Those of a contender that the machine lacks are ignored with a message. With `DSS_REQUIRE_SYSTEM_LUA` set, a missing
//! luv is a failure; Node and Lua Lanes are not installed by `.ci/run`.

use std::path::PathBuf;
use std::sync::LazyLock;

use compat_tests::artefacts::Artefacts;
use compat_tests::luas::Lua;
use compat_tests::others::{self, Contender, Needs, Work};
use compat_tests::scenarios::required;
use libtest_mimic::{Arguments, Failed, Trial};

const LUAS: [Lua; 2] = [Lua("lua54"), Lua("luajit")];
const WORK: Work = Work { items: 3000, trips: 300 };

static BUILT: LazyLock<PathBuf> =
    LazyLock::new(|| others::build(&LUAS.map(|lua| Artefacts::of(lua).clone())));

fn main() {
    let in_lua = LUAS.into_iter().flat_map(|lua| others::IN_LUA.map(|contender| (lua, contender)));
    let trials = in_lua.chain([(LUAS[0], others::NODE)]).map(|(lua, contender)| trial(lua, contender));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn trial(lua: Lua, contender: Contender) -> Trial {
    let missing = contender.missing(lua);
    let there = match (&missing, contender.needs) {
        (Some(_), Needs::Luv) => required(false, &format!("luv for {}", lua.title())),
        (Some(why), _) => {
            eprintln!("{why}: its test is ignored");
            false
        }
        (None, _) => true,
    };
    let place = if contender.needs == Needs::Node { "node" } else { lua.0 };
    Trial::test(format!("{place}::{}", contender.title), move || {
        let figures = contender.run(Artefacts::of(lua), &BUILT, WORK);
        // The work itself is checked by the contender's script.
        if [figures.item, figures.half, figures.slow].iter().all(|figure| *figure > 0.0) {
            return Ok(());
        }
        Err(Failed::from(format!("{figures:?}")))
    })
    .with_ignored_flag(!there)
}
