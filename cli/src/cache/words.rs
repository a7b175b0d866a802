//! The words of `croft cache`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::OutputWords;
use crate::serve::ServeWords;

#[derive(Debug, Args)]
pub(crate) struct CacheWords {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List what is in the cache
    Ls(OutputWords),
    /// Tell how much room it takes, and how much is saved by storing equal bytes once
    Du(OutputWords),
    /// Store a folder as it is; prints the digest it is got back by
    Put {
        /// The folder
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Write a stored tree's files into a folder
    Get {
        /// What `put` printed, or a tree of `ls -o wide`
        #[arg(value_name = "DIGEST")]
        tree: String,
        /// The folder, made if it is missing
        #[arg(value_name = "DIR")]
        into: PathBuf,
    },
    /// Tell how two stored trees differ
    Diff(DiffWords),
    /// Tell why a project's last build found, or did not find, what it asked for
    Explain {
        /// The project; without it the last question of every project is shown
        #[arg(value_name = "PROJECT")]
        project: Option<String>,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Remove entries
    Rm {
        /// The project whose entries go
        #[arg(
            value_name = "PROJECT",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        project: Option<String>,
        /// Only the entry with this key
        #[arg(long, requires = "project")]
        key: Option<String>,
        /// Everything
        #[arg(long)]
        all: bool,
    },
    /// Remove what is not needed: entries by age, count and size, and whatever no entry uses
    Gc(GcWords),
    /// Check every byte against its hash
    Verify {
        /// Mend what can be mended; remove what cannot, so that the next build saves it anew
        #[arg(long)]
        repair: bool,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Serve the cache to Bazel and ccache over HTTP
    Serve(ServeWords),
    /// Make a token for `serve`; prints it once, and adds its hash to a file
    Token {
        /// `reader` or `writer`
        #[arg(long, default_value = "reader")]
        role: String,
        /// The file that `serve --tokens` reads; made if it is missing
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print this machine's public key, for the keyrings of machines that are to trust what it saves
    Key,
}

impl CacheCommand {
    /// True for those that make the cache where there is none.
    pub(crate) const fn may_be_first(&self) -> bool {
        matches!(
            self,
            Self::Put { .. } | Self::Serve(_) | Self::Key | Self::Token { .. }
        )
    }
}

#[derive(Debug, Args)]
pub(crate) struct DiffWords {
    /// The first
    #[arg(value_name = "DIGEST")]
    pub(crate) from: String,
    /// The second
    #[arg(value_name = "DIGEST")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) output: OutputWords,
}

#[derive(Debug, Args)]
pub(crate) struct GcWords {
    /// Only tell what would go, and why
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Remove entries not used for longer, such as 30d or 12h
    #[arg(long, env = "CROFT_CACHE_MAX_IDLE", value_name = "TIME")]
    pub(crate) max_idle: Option<String>,
    /// Remove the entries worth least until the rest fits, such as 10g
    #[arg(long, env = "CROFT_CACHE_MAX_SIZE", value_name = "SIZE")]
    pub(crate) max_size: Option<String>,
    /// Of each project, keep only so many entries of its builds, the last used
    #[arg(long, env = "CROFT_CACHE_KEEP", value_name = "COUNT")]
    pub(crate) keep: Option<usize>,
    #[command(flatten)]
    pub(crate) output: OutputWords,
}
