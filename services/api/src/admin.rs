//! `createsuperuser`, for every program that has a database at hand.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use streamit_domain::account::{Email, check_new_password};
use streamit_domain::audit::{Action, ActorKind};
use streamit_domain::{DisplayName, Timestamp, UserId};
use streamit_storage::audit::Record;
use streamit_storage::users::{self, NewUser};
use streamit_storage::{Store, audit, panel};
use streamit_telemetry::{SharedClock, SharedEntropy};

use crate::identity::passwords::Passwords;
use crate::metrics::Instruments;

/// Who is to become a superuser. What is missing is asked for.
#[derive(Args, Clone, Debug, Default)]
pub struct Account {
    /// The email address that logs in.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// The name others see; "Admin" unless told otherwise.
    #[arg(long, value_name = "NAME")]
    pub display_name: Option<String>,
    /// Read the password from standard input: one line, without its line end.
    #[arg(long)]
    pub password_stdin: bool,
}

/// A superuser to be made: everything checked.
#[derive(Debug)]
pub struct Superuser {
    email: Email,
    display_name: DisplayName,
    password: SecretString,
}

impl Account {
    /// Checks the flags, and asks for what they leave out.
    ///
    /// # Errors
    /// When something is not valid, or has to be asked for and there is nobody to ask.
    pub fn complete(mut self) -> anyhow::Result<Superuser> {
        let at_terminal = std::io::stdin().is_terminal() && !self.password_stdin;
        if self.email.is_none() {
            self.email = Some(ask("Email: ", "--email")?);
        }
        // A script that gives the password is not asked for the name.
        if self.display_name.is_none() && at_terminal {
            let name = ask("Display name [Admin]: ", "--display-name")?;
            self.display_name = Some(name).filter(|name| !name.is_empty());
        }
        // What is wrong with the flags is told before a password is typed.
        let (email, display_name) = self.who()?;
        let password =
            if self.password_stdin { first_line(std::io::stdin().lock())? } else { ask_password()? };
        Superuser::new(email, display_name, password)
    }

    /// Checks the flags, with a password that was got in another way.
    ///
    /// # Errors
    /// When something is not valid.
    pub fn complete_with(self, password: SecretString) -> anyhow::Result<Superuser> {
        let (email, display_name) = self.who()?;
        Superuser::new(email, display_name, password)
    }

    fn who(&self) -> anyhow::Result<(Email, DisplayName)> {
        let email = self.email.as_deref().context("--email is required")?;
        let email = Email::parse(email).context("--email")?;
        let display_name = self.display_name.as_deref().unwrap_or("Admin");
        Ok((email, DisplayName::parse(display_name).context("--display-name")?))
    }
}

impl Superuser {
    fn new(email: Email, display_name: DisplayName, password: SecretString) -> anyhow::Result<Self> {
        check_new_password(password.expose_secret())?;
        Ok(Self { email, display_name, password })
    }
}

/// One line, without its line end. More lines than one are a mistake that would otherwise go unnoticed.
fn first_line(mut input: impl BufRead) -> anyhow::Result<SecretString> {
    let mut line = String::new();
    input.read_line(&mut line).context("could not read the password from standard input")?;
    let line = line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(line.into())
}

#[expect(clippy::print_stderr, reason = "a question to the person at the terminal, not a log event")]
fn ask(question: &str, flag: &str) -> anyhow::Result<String> {
    ensure!(std::io::stdin().is_terminal(), "{flag} is required when there is no terminal to ask at");
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn ask_password() -> anyhow::Result<SecretString> {
    ensure!(
        std::io::stdin().is_terminal(),
        "--password-stdin is required when there is no terminal to ask at"
    );
    let first = SecretString::from(rpassword::prompt_password("Password: ")?);
    let second = SecretString::from(rpassword::prompt_password("Password again: ")?);
    if first.expose_secret() != second.expose_secret() {
        bail!("the two passwords differ");
    }
    Ok(first)
}

/// Makes the account, or raises the one that has the address: its name and password become the given ones.
///
/// # Errors
/// When the database can't be written.
pub async fn create_superuser(
    store: &Store,
    superuser: Superuser,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> anyhow::Result<UserId> {
    let passwords = Passwords::new(1, &**entropy, Arc::new(Instruments::new()))?;
    let hash = passwords.hash(superuser.password, &**entropy).await?;
    let now = Timestamp(clock.now_ms());
    let id = UserId(entropy.uuid_v7(now.0));
    let user = NewUser::account(id, superuser.email, superuser.display_name, hash, now);
    let mut tx = store.begin().await?;
    let id = users::upsert_superuser(&mut tx, &user).await?;
    // Who came in with the old password goes.
    panel::sessions::revoke_all(&mut tx, id, now).await?;
    let record = Record {
        id: entropy.uuid_v7(now.0),
        at: now,
        action: Action::StaffChanged,
        actor_kind: ActorKind::System,
        actor: None,
        room: None,
        target: Some(id),
        address: None,
        before: None,
        after: Some(r#"{"rank":"superuser","by":"createsuperuser"}"#.to_owned()),
        reason: None,
        request_id: None,
    };
    audit::insert(&mut tx, &[record]).await?;
    tx.commit().await?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_one_line_without_its_end() {
        for (input, password) in [("a b \n", "a b "), ("x\r\n", "x"), ("no end", "no end"), ("", "")] {
            assert_eq!(first_line(input.as_bytes()).unwrap().expose_secret(), password);
        }
        assert_eq!(first_line(&b"one\ntwo\n"[..]).unwrap().expose_secret(), "one");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_flag() {
        let account = Account { email: Some("nobody".into()), password_stdin: true, ..Account::default() };
        assert!(format!("{:#}", account.complete().unwrap_err()).contains("--email"));
    }
}
