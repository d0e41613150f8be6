//! What is exported is read by asciinema's own command, and says the same there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use openpam_tests::{HubOptions, Terminal, World, eventually, unique};
use serde_json::Value;
use tokio::process::Command;

/// Environment variable with asciinema's command.
const VARIABLE: &str = "OPENPAM_TEST_ASCIINEMA";
/// What `deploy/dev` installs; asciinema 2 does not know asciicast v3.
const VERSION: &str = "3.2.0";
/// asciinema writes times in milliseconds.
const MILLISECOND: f64 = 0.001;

/// The command in the version that is pinned: from the environment, from the cache of `deploy/dev`, or the
/// machine's own.
async fn command() -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("OPENPAM_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/openpam")));
    let known = [
        std::env::var_os(VARIABLE).map(PathBuf::from),
        cache.map(|cache| cache.join(format!("tools/asciinema-{VERSION}/bin/asciinema"))),
        Some(PathBuf::from("asciinema")),
    ];
    let mut others = Vec::new();
    for command in known.into_iter().flatten() {
        let said = Command::new(&command).arg("--version").output().await;
        let said = said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default();
        if said == format!("asciinema {VERSION}") {
            return Ok(command);
        }
        if !said.is_empty() {
            others.push(format!("{} is {said}", command.display()));
        }
    }
    bail!(
        "asciinema {VERSION} is not here ({others:?}): run `deploy/dev test rust`, which installs it, or name it in {VARIABLE} \
         (cargo install --locked asciinema@{VERSION})"
    )
}

/// An asciicast v3: its header, and `(seconds since the beginning, code, data)`.
struct Cast {
    header: Value,
    events: Vec<(f64, String, String)>,
}

impl Cast {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        let header = serde_json::from_str(lines.next().context("the cast is empty")?)?;
        let mut now = 0.0;
        let events = lines.map(|line| {
            let (after, code, data): (f64, String, String) =
                serde_json::from_str(line).with_context(|| line.to_owned())?;
            now += after;
            Ok((now, code, data))
        });
        Ok(Self { header, events: events.collect::<anyhow::Result<_>>()? })
    }

    fn data_of(&self, code: &str) -> impl Iterator<Item = &str> {
        self.events.iter().filter(move |event| event.1 == code).map(|event| event.2.as_str())
    }

    /// That `other` says the same, times to the millisecond.
    fn ensure_same(&self, other: &Self) -> anyhow::Result<()> {
        for key in ["version", "timestamp", "title"] {
            ensure!(self.header[key] == other.header[key], "{key}: {} and {}", self.header, other.header);
        }
        for key in ["cols", "rows", "type"] {
            ensure!(self.header["term"][key] == other.header["term"][key], "{} and {}", self.header, other.header);
        }
        ensure!(self.events.len() == other.events.len(), "{} and {}", self.events.len(), other.events.len());
        for (ours, theirs) in self.events.iter().zip(&other.events) {
            ensure!((&ours.1, &ours.2) == (&theirs.1, &theirs.2), "{ours:?} became {theirs:?}");
            ensure!((ours.0 - theirs.0).abs() <= MILLISECOND + 1e-6, "{ours:?} is at {}", theirs.0);
        }
        Ok(())
    }
}

/// asciinema with files of a folder of its own.
struct Asciinema {
    command: PathBuf,
    folder: PathBuf,
}

impl Asciinema {
    async fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(unique("openpam-asciinema"));
        std::fs::create_dir(&folder)?;
        Ok(Self { command: command().await?, folder })
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.command);
        command.args(arguments).current_dir(&self.folder).env_clear().env("HOME", &self.folder);
        let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "asciinema {}: {}: {said}", arguments.join(" "), output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// `cast` in another of its formats.
    async fn convert(&self, cast: &str, format: &str) -> anyhow::Result<String> {
        let to = format!("converted.{format}");
        self.run(&["convert", "--overwrite", "--output-format", format, cast, &to]).await?;
        Ok(String::from_utf8(std::fs::read(self.folder.join(to))?)?)
    }
}

impl Drop for Asciinema {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Types a line and waits for what it says; everything that was said goes to `said`.
async fn says(terminal: &mut Terminal, line: &str, mark: &str, said: &mut Vec<u8>) -> anyhow::Result<()> {
    terminal.type_line(line).await?;
    said.extend(terminal.until(mark.as_bytes()).await?);
    Ok(())
}

#[tokio::test]
async fn asciinema_reads_an_export_and_says_what_the_terminal_said() -> anyhow::Result<()> {
    let asciinema = Asciinema::new().await?;
    let world = World::start(HubOptions::default()).await?;
    let reachable = world.password_target().await?;
    let mut terminal = Terminal::open(&world.admin, &reachable.connect()).await?;
    let session = terminal.session_id();
    let mut said = Vec::new();
    says(&mut terminal, "PS1='$ '; bind 'set enable-bracketed-paste off'; echo pl''ain", "plain\r\n$ ", &mut said)
        .await?;
    says(
        &mut terminal,
        r"printf '\e[1;38;5;208mcol%s\e[0m wide \xe6\x97\xa5\xe6\x9c\xac e\xcc\x81\n' oured",
        "e\u{301}\r\n$ ",
        &mut said,
    )
    .await?;
    // A character of which one half comes later than the other.
    says(&mut terminal, r"printf 'price \xe2\x82'; sleep 0.3; printf '\xac five\n'", "€ five\r\n$ ", &mut said).await?;
    says(&mut terminal, r#"read -rs -p 'Pass''phrase: ' word; echo "${#word}" letters"#, "Passphrase: ", &mut said)
        .await?;
    says(&mut terminal, "not-to-be-seen", "letters\r\n$ ", &mut said).await?;
    terminal.resize(132, 43).await?;
    let wide = "w".repeat(120);
    let ask = "until [ \"$(stty size)\" = '43 132' ]; do :; done; printf 'w%.0s' {1..120}; echo";
    says(&mut terminal, ask, &format!("{wide}\r\n$ "), &mut said).await?;
    says(
        &mut terminal,
        r"printf '\e[?1049h\e[2J\e[5;5Hfull screen'; sleep 0.1; printf '\e[?1049l'; echo ba''ck",
        "back\r\n$ ",
        &mut said,
    )
    .await?;
    terminal.type_line("exit 7").await?;
    terminal.end(Duration::from_secs(10)).await?;
    said.append(&mut terminal.output);
    let said = String::from_utf8(said)?;
    eventually("its recording is closed", Duration::from_secs(30), || async {
        Ok((world.admin.get(&format!("/sessions/{session}/recording")).await?["state"] == "complete").then_some(()))
    })
    .await?;

    let export = world.admin.text(&format!("/sessions/{session}/recording/export?format=asciicast-v3")).await?;
    std::fs::write(asciinema.folder.join("ours.cast"), &export)?;
    let ours = Cast::parse(&export)?;
    assert_eq!(ours.header["version"], 3);
    assert_eq!(ours.data_of("r").collect::<Vec<_>>(), ["80x24", "132x43"], "the sizes");
    assert_eq!(ours.data_of("x").collect::<Vec<_>>(), ["7"], "the exit");
    ensure!(!export.contains("not-to-be-seen"), "the export has what was typed unseen");

    // Byte by byte what the target said, behind the size that asciinema begins with.
    let raw = asciinema.convert("ours.cast", "raw").await?;
    assert_eq!(raw.strip_prefix("\x1b[8;24;80t").context("no size")?, said);

    // Its own asciicast v3, v2, and v3 of that.
    let theirs = asciinema.convert("ours.cast", "asciicast-v3").await?;
    ours.ensure_same(&Cast::parse(&theirs)?)?;
    // It puts two together: ours, and ours again.
    let mut twice = Cast::parse(&asciinema.run(&["cat", "ours.cast", "ours.cast"]).await?)?;
    assert_eq!(twice.data_of("o").collect::<String>(), said.repeat(2));
    twice.events.truncate(ours.events.len());
    ours.ensure_same(&twice)?;
    std::fs::write(asciinema.folder.join("older.cast"), asciinema.convert("ours.cast", "asciicast-v2").await?)?;
    let back = Cast::parse(&asciinema.convert("older.cast", "asciicast-v3").await?)?;
    assert_eq!(ours.data_of("o").collect::<String>(), back.data_of("o").collect::<String>());

    // Drawn by its terminal: the lines as they were seen.
    let text = asciinema.convert("ours.cast", "txt").await?;
    for line in ["plain", "coloured wide 日本 e\u{301}", "price € five", "14 letters", wide.as_str(), "back"] {
        ensure!(text.lines().any(|drawn| drawn.trim_end().ends_with(line)), "no line {line:?} in:\n{text}");
    }
    ensure!(!text.contains("not-to-be-seen"), "{text}");
    Ok(())
}

#[tokio::test]
async fn asciinema_reads_the_export_of_a_session_that_a_signal_ended() -> anyhow::Result<()> {
    let asciinema = Asciinema::new().await?;
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.run("seq 1 500").await?;
    // Ended by a signal.
    terminal.type_line("kill -KILL $$").await?;
    terminal.end(Duration::from_secs(10)).await?;
    eventually("its recording is closed", Duration::from_secs(30), || async {
        Ok((world.admin.get(&format!("/sessions/{session}/recording")).await?["state"] == "complete").then_some(()))
    })
    .await?;
    let from_hub = world.admin.text(&format!("/sessions/{session}/recording/export")).await?;
    std::fs::write(asciinema.folder.join("hub.cast"), &from_hub)?;
    let theirs = Cast::parse(&asciinema.convert("hub.cast", "asciicast-v3").await?)?;
    Cast::parse(&from_hub)?.ensure_same(&theirs)?;
    assert_eq!(theirs.data_of("x").collect::<Vec<_>>(), ["137"], "128 and the signal's number");
    let text = asciinema.convert("hub.cast", "txt").await?;
    // The first stands behind a mark of this suite.
    for number in 2..=500 {
        ensure!(text.lines().any(|line| line.trim_end() == number.to_string()), "no line {number} in:\n{text}");
    }
    Ok(())
}
