//! `sigwarden top`: arguments, and what is done with them. Exit codes: 0 done; 2 it could not be tried.

use super::draw::{Sort, draw};
use super::exposition::{PAGE_MAX, PageError, Scrape};
use super::terminal::{Pressed, Terminal};
use super::view::View;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// `sigwarden top`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  sigwarden top\n  sigwarden top --once                     one picture as text, after one interval\n  sigwarden top --json | jq .latencies     one sample for machines"
)]
pub struct TopArgs {
    /// Seconds between two pictures, 0.2 to 60
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = interval)]
    pub interval: Duration,
    /// What the keys are sorted by
    #[arg(long, value_enum, default_value_t)]
    pub sort: Sort,
    /// Print one picture and end
    #[arg(long)]
    pub once: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    if !(0.2..=60.0).contains(&seconds) {
        return Err("0.2 to 60 seconds are right: less would measure the scrape itself".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// It could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// No page.
    #[error("the page of metrics could not be fetched: {0}")]
    Fetch(String),
    /// A page that is none.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The terminal, or standard output.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Shows pictures until a person quits; one with `--once`, for `json`, or where there is no terminal. `fetch` gets the page of metrics:
/// from the administration socket, or with [`scrape`].
///
/// # Errors
/// The first page cannot be fetched or read, or there is no terminal any more. Later on a page that cannot be fetched is shown as such,
/// since a daemon that restarts comes back.
pub fn run(args: &TopArgs, json: bool, out: &mut dyn Write, mut fetch: impl FnMut() -> Result<String, String>) -> Result<(), TopError> {
    let mut next = || -> Result<(Scrape, Instant), TopError> {
        let page = fetch().map_err(TopError::Fetch)?;
        Ok((Scrape::parse(&page)?, Instant::now()))
    };
    let mut before = next()?;
    let terminal = if json || args.once { None } else { Terminal::open()? };
    let Some(terminal) = terminal else {
        std::thread::sleep(args.interval);
        let now = next()?;
        let view = View::between(&before.0, &now.0, now.1 - before.1);
        return match json {
            true => writeln!(out, "{}", serde_json::to_string(&view).map_err(io::Error::from)?),
            // Wide enough for all columns, long enough for all lines.
            false => out.write_all(draw(&view, args.sort, 120, u16::MAX).text().as_bytes()),
        }
        .map_err(TopError::Terminal);
    };
    let mut sort = args.sort;
    let mut view = View::between(&before.0, &before.0, args.interval);
    loop {
        let until = before.1 + args.interval;
        loop {
            let (width, height) = terminal.size();
            terminal.show(&draw(&view, sort, width, height).ansi())?;
            match terminal.wait(until)? {
                Some(Pressed::Quit) => return Ok(()),
                Some(Pressed::Sort) => sort = sort.next(),
                None if Instant::now() < until => {}
                None => break,
            }
        }
        match next() {
            Ok(now) => {
                view = View::between(&before.0, &now.0, now.1 - before.1);
                before = now;
            }
            Err(TopError::Fetch(_) | TopError::Page(_)) => {
                view.ready = false;
                view.troubles = vec!["no answer".into()];
                before.1 = Instant::now();
            }
            Err(error @ TopError::Terminal(_)) => return Err(error),
        }
    }
}

/// How long the daemon may take for its page.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gets `http://ADDRESS/metrics`. HTTP/1.0, so that the body ends with the connection.
///
/// # Errors
/// Nothing answers there, or not with a page: what was tried, and what came.
pub fn scrape(address: SocketAddr) -> Result<String, String> {
    let failed = |error: io::Error| format!("http://{address}/metrics: {error}");
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    connection.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    connection.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let ask = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
    connection.write_all(ask.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    // The page's own limit is checked when it is parsed; headers come on top.
    connection
        .take(PAGE_MAX as u64 + 16 * 1024)
        .read_to_end(&mut answer)
        .map_err(failed)?;
    let answer = String::from_utf8(answer).map_err(|_| format!("http://{address}/metrics: the answer is no text"))?;
    let no_http = || format!("http://{address}/metrics: the answer is no HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(no_http)?;
    let status = head.lines().next().and_then(|line| line.split(' ').nth(1)).ok_or_else(no_http)?;
    if status != "200" {
        let shown: String = status.chars().take(16).flat_map(char::escape_debug).collect();
        return Err(format!("http://{address}/metrics: status {shown}"));
    }
    Ok(body.to_owned())
}
