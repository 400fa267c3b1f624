//! Loads the module of each Lua in each Lua. A Lua accepts only its own module. Every other is refused with a sentence, before
//! anything in the state changes.

use std::fs;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, target};
use compat_tests::luas::ALL;
use compat_tests::run::limited;

const SCRIPT: &str = "
    local fine, message = pcall(require, 'darksidesync')
    if fine then print('served ' .. message._VERSION) else print(message) end
    -- The state is as good as it was.
    assert(debug.getregistry()['DSS.DarkSideSync'] == nil or fine)
    assert(select('#', string.byte(('x'):rep(100), 1, -1)) == 100)
";

#[test]
fn a_module_for_another_lua_is_refused() {
    for host in ALL {
        for module in ALL {
            let folder = target().join("wrong").join(format!("{host}-{module}"));
            fs::create_dir_all(&folder).expect("the target folder can be written to");
            let from = Artefacts::of(module).folder.join("darksidesync.so");
            fs::copy(from, folder.join("darksidesync.so")).expect("it was built a line above");
            let mut command = std::process::Command::new(Artefacts::of(host).host());
            command.arg("--cpath").arg(folder.join("?.so")).args(["-e", SCRIPT]);
            let ended = limited(&mut command, Duration::from_secs(60));
            assert!(ended.succeeded(), "{module} in {host}: {}", ended.report());
            let said = ended.stdout.trim();
            let cell = format!("{} in {}: {said}", module.title(), host.title());
            if host == module {
                assert!(said.starts_with("served DarkSideSync 2."), "{cell}");
            } else if said.contains("undefined symbol") || said.contains("symbol not found") {
                // The dynamic loader refused it first, because this Lua lacks functions that the module uses.
                assert!(said.contains("error loading module 'darksidesync'"), "{cell}");
            } else {
                let both = [module.title(), host.title()].iter().all(|title| said.contains(title.as_str()));
                assert!(both && said.contains("install the one that is built with"), "{cell}");
            }
        }
    }
}
