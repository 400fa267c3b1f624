//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Shows what a module of DarkSideSync or a library is, and whether they fit. It reads files and runs none of their code.
#[derive(Parser)]
#[command(name = "dss", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what each file is: a module of DSS, a library, or something else.
    Inspect {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print a JSON array with an object for each file.
        #[arg(long)]
        json: bool,
    },
    /// Check whether a program with this module can load each library, and if not, what to do.
    ///
    /// It can if the library fits the module and its file has the name that `load` looks for: `redis.so` for redis. The exit code
    /// is 0 if all libraries can be loaded, 1 if one cannot, and 2 for bad usage.
    Check {
        /// The module: `darksidesync.so`.
        #[arg(long, value_name = "FILE")]
        module: PathBuf,
        /// Libraries, or folders whose shared libraries are checked. Subfolders are not searched. The default is the current
        /// folder.
        #[arg(value_name = "LIBRARY|FOLDER")]
        libraries: Vec<PathBuf>,
        /// Where the program looks for libraries, as in `DSS_PATH`: `/opt/dss/lib?.so;;`. The two semicolons stand for the
        /// module's own folder. Without this option, each file is checked as if its own folder were searched.
        #[arg(long, value_name = "TEMPLATES")]
        path: Option<String>,
        /// Print a JSON object with the module and an object for each library.
        #[arg(long)]
        json: bool,
    },
    /// Print the frozen layouts of the revisions, or how two of them differ.
    Layouts {
        /// Print only one revision: `v1` or `v2`.
        #[arg(long, value_name = "REVISION")]
        revision: Option<String>,
        /// Two revisions, or files with layouts, to compare. The exit code is 1 if they differ.
        #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "revision")]
        diff: Vec<String>,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, in roff.
    Man,
}
