//! `dss`: shows what a module of DarkSideSync or a library is, and whether they fit. It only reads the files and runs none of
//! their code.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | everything was read, and everything fits |
//! | 1 | something cannot be read, does not fit, or differs |
//! | 2 | bad usage, or the file given as the module is not one |

mod args;
mod check;
mod inspect;
mod layouts;
mod names;
mod old;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};

/// The output of a command, and whether everything is in order.
struct Outcome {
    text: String,
    well: bool,
}

/// A sentence that says why a command could not run.
struct BadUsage(String);

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Inspect { files, json } => Ok(inspect::run(&files, json)),
        Command::Check { module, libraries, path, json } => {
            check::run(&module, &libraries, path.as_deref(), json)
        }
        Command::Layouts { revision, diff } => layouts::run(revision.as_deref(), &diff),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "dss", &mut text);
            Ok(Outcome { text: String::from_utf8_lossy(&text).into_owned(), well: true })
        }
        Command::Man => man(),
    };
    match outcome {
        Ok(Outcome { text, well }) => {
            let mut out = io::stdout();
            match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                // A reader may close the pipe early, which is not an error.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    eprintln!("dss: cannot write the output: {error}");
                    ExitCode::from(2)
                }
                _ => ExitCode::from(u8::from(!well)),
            }
        }
        Err(BadUsage(sentence)) => {
            eprintln!("dss: {sentence}");
            ExitCode::from(2)
        }
    }
}

/// The manual page: the command itself, then each subcommand.
fn man() -> Result<Outcome, BadUsage> {
    let mut command = Args::command();
    command.build();
    let mut page = Vec::new();
    let written = clap_mangen::Man::new(command.clone()).render(&mut page).and_then(|()| {
        command.get_subcommands().filter(|each| each.get_name() != "help").try_for_each(|each| {
            let man = clap_mangen::Man::new(each.clone());
            man.render_name_section(&mut page)?;
            man.render_synopsis_section(&mut page)?;
            man.render_description_section(&mut page)?;
            man.render_options_section(&mut page)
        })
    });
    written.map_err(|error| BadUsage(format!("cannot make the manual page: {error}")))?;
    Ok(Outcome { text: String::from_utf8_lossy(&page).into_owned(), well: true })
}
