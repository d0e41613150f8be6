//! `openpam`: one binary, one subcommand each for what it can be.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

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
    /// Manage administrators from the command line
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Look after the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at everything the hub needs, and say what to do
    Doctor(Doctor),
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read and validate all that the hub would, and name every mistake at once
    Check(ConfigFile),
}

#[derive(clap::Args)]
struct Doctor {
    #[command(flatten)]
    file: ConfigFile,
    /// Print one JSON object, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Create a local administrator, and the tenant when it is missing
    Create(CreateAdmin),
}

#[derive(clap::Args)]
struct CreateAdmin {
    #[command(flatten)]
    file: ConfigFile,
    /// Short name (slug) of the tenant
    #[arg(long)]
    tenant: String,
    /// Name of the tenant, if it is created
    #[arg(long)]
    tenant_name: Option<String>,
    /// Sign-in name of the administrator
    #[arg(long)]
    username: String,
    /// Name for people
    #[arg(long)]
    display_name: Option<String>,
    /// File with the password, `-` for standard input
    #[arg(long)]
    password_file: PathBuf,
    /// Leave an account of that name as it is instead of failing
    #[arg(long)]
    if_missing: bool,
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration file (TOML)
    #[arg(long, env = "OPENPAM_CONFIG", default_value = "/etc/openpam/openpam.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| {
        // Its words only: where in the program it came up helps nobody who has to correct a key.
        let _ = writeln!(std::io::stderr(), "Error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("a TLS provider was installed twice");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Hub(file) => openpam_hub::boot::run(&file.config).await?,
            Command::Migrate(file) => openpam_hub::commands::migrate(&file.config).await?,
            Command::Config(ConfigCommand::Check(file)) => openpam_hub::commands::check_config(&file.config)?,
            Command::Doctor(doctor) => return openpam_hub::commands::doctor(&doctor.file.config, doctor.json).await,
            Command::Admin(AdminCommand::Create(create)) => {
                let admin = openpam_hub::commands::CreateAdmin {
                    tenant: create.tenant,
                    tenant_name: create.tenant_name,
                    username: create.username,
                    display_name: create.display_name,
                    password_file: create.password_file,
                    if_missing: create.if_missing,
                };
                openpam_hub::commands::create_admin(&create.file.config, admin).await?;
            }
            Command::Openapi => openpam_hub::commands::openapi()?,
        }
        Ok(ExitCode::SUCCESS)
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
