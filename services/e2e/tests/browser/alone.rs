//! The standalone program, which can be started again where it was.

use streamit_client::Http;
use streamit_e2e::{Program, guard, program, until};
use tempfile::TempDir;

/// One process with everything in it, on a port and a directory that stay.
pub(crate) struct Alone {
    home: TempDir,
    address: String,
    options: Vec<(String, String)>,
    running: Program,
    starts: usize,
}

impl Alone {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with options, by their environment variables.
    pub(crate) async fn start_with(options: &[(&str, &str)]) -> Self {
        let options: Vec<_> =
            options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let home = TempDir::with_prefix("streamit-e2e-").unwrap();
        guard::remove_at_end(home.path());
        let running = launch(&home, &options, "127.0.0.1:0", 0);
        let address = running.printed("listening http://").await.unwrap();
        let alone = Self { home, address, options, running, starts: 1 };
        alone.is_ready().await;
        alone
    }

    /// Where its page is, without a slash at the end.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes somebody a superuser.
    pub(crate) async fn has_superuser(&self, email: &str, password: &str) {
        let args = ["createsuperuser", "--email", email, "--display-name", "Root", "--password-stdin"];
        let env = [("STREAMIT_DATA_DIR".to_owned(), self.home.path().join("data").display().to_string())];
        let ended = Program::run(&program("streamit"), &args, &env, self.home.path(), password).await;
        assert!(ended.is_success(), "{}", ended.stderr);
    }

    /// Its name and port.
    pub(crate) fn host(&self) -> &str {
        &self.address
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&self) {
        self.running.kill();
    }

    /// Starts it again, after it has ended.
    pub(crate) async fn starts_again(&mut self) {
        self.running = launch(&self.home, &self.options, &self.address, self.starts);
        self.starts += 1;
        self.is_ready().await;
    }

    async fn is_ready(&self) {
        let http = Http::new(&self.origin()).unwrap();
        let ready = until("the program to be ready", async || {
            http.raw("GET", "/readyz", None).await.is_ok_and(|answer| answer.status == 200).then_some(())
        });
        ready.await.unwrap_or_else(|why| panic!("{why}\n{}", self.running.log()));
    }
}

fn launch(home: &TempDir, options: &[(String, String)], listen: &str, start: usize) -> Program {
    let data = home.path().join("data").display().to_string();
    let env = [("STREAMIT_LISTEN", listen), ("STREAMIT_DATA_DIR", &data)];
    let mut env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    env.extend_from_slice(options);
    Program::start::<&str>(&format!("streamit.{start}"), &program("streamit"), &[], &env, home.path())
}
