//! What the command line can say.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Tells what a module of DarkSideSync or a library is, and what fits; reads files, and runs none of their code.
#[derive(Parser)]
#[command(name = "dss", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Tell what each file is: a module of DSS, a library, or what else.
    Inspect {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print a JSON array, an object a file.
        #[arg(long)]
        json: bool,
    },
    /// Check whether a program with that module can load each library, and if not, what to do.
    ///
    /// That is so if the library fits the module, and its file has the name that `load` looks for: `redis.so` for redis. Exits
    /// with 0 if all can be loaded, with 1 if one cannot, and with 2 for bad usage.
    Check {
        /// The module: `darksidesync.so`.
        #[arg(long, value_name = "FILE")]
        module: PathBuf,
        /// Libraries, and folders of them: every shared library in a folder itself is looked at. The current folder, where
        /// nothing is given.
        #[arg(value_name = "LIBRARY|FOLDER")]
        libraries: Vec<PathBuf>,
        /// Where the program looks for libraries, as in `DSS_PATH`: `/opt/dss/lib?.so;;`. The two semicolons stand for the
        /// module's own folder. Without this, each file is checked as if its own folder were searched.
        #[arg(long, value_name = "TEMPLATES")]
        path: Option<String>,
        /// Print a JSON object: the module, and an object a library.
        #[arg(long)]
        json: bool,
    },
    /// Print the frozen layouts of the revisions, or how two of them differ.
    Layouts {
        /// One revision alone: `v1` or `v2`.
        #[arg(long, value_name = "REVISION")]
        revision: Option<String>,
        /// Two revisions, or files with layouts, to compare. Exits with 1 where they differ.
        #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "revision")]
        diff: Vec<String>,
    },
    /// Print a script for completions in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual's page, in roff.
    Man,
}
