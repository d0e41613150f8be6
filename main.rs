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
    Migrate(MigrateArguments),
    /// Make the first administrator, and let in one who is locked out, with the database at hand
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Look after the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at everything the hub needs, and say what to do
    Doctor(Doctor),
    /// Look at recordings: in a folder, with neither hub nor database, or of a hub through its API
    #[command(subcommand)]
    Recording(RecordingCommand),
    /// Prove the audit trail: that nothing in it was changed, removed or added
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Everything about one session in one file that proves itself
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Subcommand)]
enum RecordingCommand {
    /// Say whether a recording is whole and unchanged; exit 1 when it is not
    Verify {
        #[command(flatten)]
        source: RecordingSource,
        /// Print one JSON object, for programs (with --session)
        #[arg(long, requires = "session")]
        json: bool,
        /// Ed25519 public key, base64, of a signer to trust; may be repeated
        #[arg(long, conflicts_with = "session")]
        signer: Vec<String>,
        /// File with a recipient's X25519 private key, base64: decrypts as well
        #[arg(long, value_name = "FILE", conflicts_with = "session")]
        key_file: Option<PathBuf>,
        /// What the recording must begin with: number of segments and root of an entry recording.head, or recording.close,
        /// of the ledger; may be repeated
        #[arg(long, value_name = "SEGMENTS:ROOT", conflicts_with = "session")]
        head: Vec<String>,
        /// The recording was closed: a manifest that is not there is missing. Without, a session may be running
        #[arg(long, conflicts_with = "session")]
        closed: bool,
    },
    /// List the recordings of a hub, or those below a folder; exit 1 when one that was verified is not whole
    List {
        /// A folder with recordings in it or in its folders; each is verified
        folder: Option<PathBuf>,
        #[command(flatten)]
        hub: RecordingHub,
        /// Let the hub verify each
        #[arg(long, conflicts_with = "folder")]
        verify: bool,
        /// How many, the newest first
        #[arg(long, default_value_t = 200)]
        limit: usize,
        /// Print one JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Write what the target of a recording said to standard output
    Cat(RecordingInput),
    /// Write a recording to standard output in another format
    Export {
        #[command(flatten)]
        input: RecordingInput,
        /// The format
        #[arg(long, value_parser = ["asciicast-v3"], default_value = "asciicast-v3")]
        format: String,
    },
}

#[derive(clap::Args)]
struct RecordingInput {
    #[command(flatten)]
    source: RecordingSource,
    /// File with a recipient's X25519 private key, base64; the hub has its own
    #[arg(long, value_name = "FILE", conflicts_with = "session", required_unless_present = "session")]
    key_file: Option<PathBuf>,
}

/// Where a recording is.
#[derive(clap::Args)]
struct RecordingSource {
    /// The folder with its segments and manifest
    #[arg(required_unless_present = "session", conflicts_with = "session")]
    folder: Option<PathBuf>,
    /// Instead of a folder: the session whose recording the hub has
    #[arg(long, requires = "hub")]
    session: Option<String>,
    #[command(flatten)]
    hub: RecordingHub,
}

/// A hub, asked through its API with a token (OPENPAM_TOKEN).
#[derive(clap::Args)]
struct RecordingHub {
    /// URL of the hub
    #[arg(long, env = "OPENPAM_HUB")]
    hub: Option<String>,
    /// File with an API token, instead of OPENPAM_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the CA of the hub's certificate
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl RecordingHub {
    fn remote(self) -> Option<openpam_hub::commands::recording::Remote> {
        let (token_file, ca_file) = (self.token_file, self.ca_file);
        self.hub.map(|hub| openpam_hub::commands::recording::Remote { hub, token_file, ca_file })
    }
}

#[derive(Subcommand)]
enum AuditCommand {
    /// After a restore that took the database behind its anchor: begin a ledger of another name
    Resume {
        #[command(flatten)]
        file: ConfigFile,
        /// That the database was restored: nothing else is a reason
        #[arg(long, required = true)]
        after_restore: bool,
        /// Why, for the ledger
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End the alarms for logs that a hub found rewritten: hubs that start afterwards sign them again
    Acknowledge {
        #[command(flatten)]
        file: ConfigFile,
        /// What was found, for the ledger
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Empty the contents of a person's entries, whose digests and proofs stay; the account is disabled before
    Erase {
        #[command(flatten)]
        file: ConfigFile,
        /// Short name (slug) of the tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// Id of the user
        #[arg(long, value_name = "ID")]
        user: String,
        /// Only what is older
        #[arg(long, value_name = "TIME")]
        before: Option<String>,
        /// Why, for the ledger
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Print the keys that sign the logs, in the form that other programs for checkpoints take (C2SP signed-note)
    #[command(args_conflicts_with_subcommands = true)]
    Keys {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        command: Option<KeysCommand>,
    },
    /// Recompute the ledger and name everything that is wrong; exit 1 when something is, 2 when a bundle is checked
    /// and no key is trusted
    Verify {
        #[command(flatten)]
        file: ConfigFile,
        /// Short name (slug) of the only tenant to look at
        #[arg(long, value_name = "SLUG", conflicts_with = "offline")]
        tenant: Option<String>,
        /// First entry to look at, from 0; without it all
        #[arg(long, value_name = "N", conflicts_with = "offline")]
        start_sequence: Option<u64>,
        /// Last entry to look at
        #[arg(long, value_name = "M", conflicts_with = "offline")]
        end_sequence: Option<u64>,
        /// Ed25519 public key, base64, to trust instead of those that the database names; may be repeated
        #[arg(long, value_name = "KEY")]
        trust: Vec<String>,
        /// File with checkpoints that were kept elsewhere (an anchor's, or single notes); may be repeated
        #[arg(long, value_name = "FILE")]
        anchor: Vec<PathBuf>,
        /// Say more of what was looked at
        #[arg(long, short)]
        verbose: bool,
        /// Instead of the database: a bundle that was exported
        #[arg(long, value_name = "BUNDLE")]
        offline: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Let another key sign from now on; what was signed before stays valid
    Rotate {
        #[command(flatten)]
        file: ConfigFile,
        /// Why, for the ledger
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Subcommand)]
enum EvidenceCommand {
    /// Write a session's entries of the ledger with their proofs, and its recording, into one file
    Export {
        #[command(flatten)]
        file: ConfigFile,
        /// Short name (slug) of the tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// The session
        #[arg(long, value_name = "ID")]
        session: String,
        /// The file to write; it must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Folder with the recording, instead of the configured store
        #[arg(long, value_name = "FOLDER")]
        recording: Option<PathBuf>,
    },
    /// Check such a file with nothing else at hand; exit 1 when something is wrong, 2 when no key is trusted
    Verify {
        /// The file
        bundle: PathBuf,
        /// The session that it is to be about
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// The recording may be missing from the file
        #[arg(long)]
        without_recording: bool,
        /// Entries may be missing, because the session goes on or somebody left them out
        #[arg(long)]
        partial: bool,
        /// Ed25519 public key, base64, of the ledger to trust; may be repeated
        #[arg(long, value_name = "KEY")]
        trust: Vec<String>,
        /// Verifier key (`name+id+key`) of a witness that must have signed; may be repeated
        #[arg(long, value_name = "KEY")]
        witness: Vec<String>,
        /// Say more of what is in it
        #[arg(long, short)]
        verbose: bool,
    },
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
    /// Unlock a local account that failed sign-ins locked out
    Unlock(UnlockAccount),
}

#[derive(clap::Args)]
struct UnlockAccount {
    #[command(flatten)]
    file: ConfigFile,
    /// Short name (slug) of the tenant
    #[arg(long, value_name = "SLUG")]
    tenant: String,
    /// Sign-in name of the account
    #[arg(long)]
    username: String,
}

#[derive(clap::Args)]
struct CreateAdmin {
    #[command(flatten)]
    file: ConfigFile,
    /// Short name (slug) of the tenant
    #[arg(long, value_name = "SLUG")]
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
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// Leave an account of that name as it is instead of failing
    #[arg(long)]
    if_missing: bool,
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "OPENPAM_CONFIG", default_value = "/etc/openpam/openpam.toml")]
    config: PathBuf,
}

#[derive(clap::Args)]
struct MigrateArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Give the ledger back to the application's role, where the configuration names none of the ledger's own
    #[arg(long)]
    ledger_by_application: bool,
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
            Command::Hub(file) => Box::pin(openpam_hub::boot::run(&file.config)).await?,
            Command::Migrate(migrate) => {
                openpam_hub::commands::migrate(&migrate.file.config, migrate.ledger_by_application).await?;
            }
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
            Command::Admin(AdminCommand::Unlock(unlock)) => {
                openpam_hub::commands::unlock_account(&unlock.file.config, &unlock.tenant, &unlock.username).await?;
            }
            Command::Audit(AuditCommand::Resume { file, after_restore: _, reason }) => {
                openpam_hub::commands::audit::resume(&file.config, &reason).await?;
            }
            Command::Audit(AuditCommand::Acknowledge { file, reason }) => {
                openpam_hub::commands::audit::acknowledge(&file.config, &reason).await?;
            }
            Command::Audit(AuditCommand::Erase { file, tenant, user, before, reason }) => {
                let erase = openpam_hub::commands::audit::Erase { tenant, user, before, reason };
                openpam_hub::commands::audit::erase(&file.config, erase).await?;
            }
            Command::Audit(AuditCommand::Keys { command: Some(KeysCommand::Rotate { file, reason }), .. }) => {
                openpam_hub::commands::audit::rotate_key(&file.config, &reason).await?;
            }
            Command::Audit(AuditCommand::Keys { file, command: None }) => {
                openpam_hub::commands::audit::print_keys(&file.config).await?
            }
            Command::Audit(AuditCommand::Verify {
                file,
                tenant,
                start_sequence,
                end_sequence,
                trust,
                anchor,
                verbose,
                offline,
            }) => {
                use openpam_hub::commands::audit;
                if let Some(bundle) = offline {
                    return audit::verify_bundle(&bundle, &trust, verbose);
                }
                let verify = audit::Verify { tenant, start_sequence, end_sequence, trust, anchor, verbose };
                return audit::verify(&file.config, verify).await;
            }
            Command::Evidence(EvidenceCommand::Export { file, tenant, session, out, recording }) => {
                let export = openpam_hub::commands::evidence::Export { tenant, session, out, recording };
                openpam_hub::commands::evidence::export(&file.config, export).await?;
            }
            Command::Evidence(EvidenceCommand::Verify {
                bundle,
                session,
                without_recording,
                partial,
                trust,
                witness,
                verbose,
            }) => {
                use openpam_hub::commands::evidence;
                let check = evidence::Check { bundle, trust, witness, session, without_recording, partial, verbose };
                return evidence::verify(&check);
            }
            Command::Recording(command) => return look_at_recording(command).await,
            Command::Openapi => openpam_hub::commands::openapi()?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn look_at_recording(command: RecordingCommand) -> anyhow::Result<ExitCode> {
    use openpam_hub::commands::recording::{self, Form, List};
    let write = async |input: RecordingInput, form| match (
        input.source.session,
        input.source.hub.remote(),
        input.source.folder,
        input.key_file,
    ) {
        (Some(session), Some(remote), ..) => recording::write_session(&remote, &session, form).await,
        (_, _, Some(folder), Some(key_file)) => recording::write(&folder, &key_file, form),
        _ => anyhow::bail!("name a folder and a key, or a hub and a session"),
    };
    match command {
        RecordingCommand::Verify { source, json, signer, key_file, head, closed } => {
            match (source.session, source.hub.remote(), source.folder) {
                (Some(session), Some(remote), _) => return recording::verify_session(&remote, &session, json).await,
                (_, _, Some(folder)) => {
                    return recording::verify(&folder, &signer, key_file.as_deref(), &head, closed);
                }
                _ => anyhow::bail!("name a folder, or a hub and a session"),
            }
        }
        RecordingCommand::List { folder, hub, verify, limit, json } => {
            return recording::list(List { folder, remote: hub.remote(), verify, limit, json }).await;
        }
        RecordingCommand::Cat(input) => write(input, Form::Output).await?,
        RecordingCommand::Export { input, .. } => write(input, Form::Asciicast).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
