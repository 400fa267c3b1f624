//! Runs each scenario in Lua 5.4 and LuaJIT, or in the Luas that `DSS_LUAS` names, in its own process. A filter such as `lua51::task` runs in any Lua.
//!
//! With `DSS_MATRIX_FOLLOWS` set, the scenarios that `cargo matrix --quick` also runs are ignored. With `DSS_SANITIZER`, they run under a sanitizer or
//! valgrind (`.ci/sanitize`).

use compat_tests::artefacts::Artefacts;
use compat_tests::luas::{self, ALL};
use compat_tests::sanitizer::Sanitizer;
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
            let why_not = Sanitizer::chosen().and_then(|sanitizer| sanitizer.leaves_out(&scenario));
            let wanted = arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
            if let Some(why) = why_not.filter(|_| wanted) {
                eprintln!("left out: {name}: {why}");
            }
            let run = move || scenario.run(&Artefacts::of(lua).environment()).map_err(Into::into);
            trials.push(Trial::test(name, run).with_ignored_flag(left || why_not.is_some()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
