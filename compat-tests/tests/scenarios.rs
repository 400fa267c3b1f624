//! Runs each scenario in Lua 5.4 and LuaJIT, or in the Luas that `DSS_LUAS` names, in its own process. A filter such as `lua51::task` runs in any Lua.
//!
//! With `DSS_MATRIX_FOLLOWS` set, the scenarios that `cargo matrix --quick` also runs are ignored.

use compat_tests::artefacts::Artefacts;
use compat_tests::luas::{self, ALL};
use compat_tests::scenarios;
use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let follows = std::env::var_os("DSS_MATRIX_FOLLOWS").is_some();
    let mut trials = Vec::new();
    let names_one = |filter: &String| ALL.iter().any(|lua| filter.contains(lua.0));
    let luas = if arguments.filter.iter().any(names_one) { ALL.to_vec() } else { luas::tested() };
    for lua in luas {
        for scenario in scenarios::all().into_iter().filter(|scenario| scenario.is_for(lua)) {
            let name = format!("{lua}::{}::{}", scenario.group, scenario.name);
            let left = follows && scenario.is_of_the_matrix();
            let run = move || scenario.run(&Artefacts::of(lua).environment()).map_err(Into::into);
            trials.push(Trial::test(name, run).with_ignored_flag(left));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
