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
    /// Check each library against a module: does it fit, and if not, what is to be upgraded.
    ///
    /// Exits with 0 where all fit, with 1 where one does not, and with 2 for bad usage.
    Check {
        /// The module: `darksidesync.so`.
        #[arg(long, value_name = "FILE")]
        module: PathBuf,
        /// Libraries, and folders of them: every shared library in a folder itself is looked at. The current folder, where
        /// nothing is given.
        #[arg(value_name = "LIBRARY|FOLDER")]
        libraries: Vec<PathBuf>,
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
