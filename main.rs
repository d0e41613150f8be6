//! `openpam`: one binary, one subcommand each for what it can be.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "openpam", version, about = "Privileged access gateway")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the hub
    Hub(ConfigFile),
    /// Bring the database schema up to date
    Migrate(ConfigFile),
    /// Print the OpenAPI document
    Openapi,
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration file (TOML)
    #[arg(long, env = "OPENPAM_CONFIG", default_value = "/etc/openpam/openpam.toml")]
    config: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("a TLS provider was installed twice");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Hub(file) => openpam_hub::boot::run(&file.config).await,
            Command::Migrate(file) => openpam_hub::commands::migrate(&file.config).await,
            Command::Openapi => openpam_hub::commands::openapi(),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
