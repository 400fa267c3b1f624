//! Each scenario in each Lua, in a process of its own.

use compat_tests::artefacts::Artefacts;
use compat_tests::luas::ALL;
use compat_tests::scenarios;
use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for lua in ALL {
        for scenario in scenarios::all().into_iter().filter(|scenario| scenario.is_for(lua)) {
            let name = format!("{lua}::{}::{}", scenario.group, scenario.name);
            let run = move || scenario.run(Artefacts::of(lua), &[]).map_err(Into::into);
            trials.push(Trial::test(name, run));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
