//! From an expression's text to its tokens.

use sigwarden_guest::U256;

/// What is wrong with an expression, and at which character, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) at: usize,
    pub(crate) message: String,
}

pub(crate) fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        at,
        message: message.into(),
    })
}

/// A token and the character at which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) at: usize,
    pub(crate) kind: TokenKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Number(U256),
    Text(String),
    Bytes(Vec<u8>),
    Name(String),
    Symbol(&'static str),
    End,
}

/// Longer ones first.
const SYMBOLS: [&str; 22] = [
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "?", ":", "+", "-", "*", "/", "%",
];

struct Lexer {
    text: Vec<char>,
    at: usize,
}

/// The tokens, the last of which is the end.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut lexer = Lexer {
        text: text.chars().collect(),
        at: 0,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let at = lexer.at;
        let kind = lexer.token()?;
        let end = kind == TokenKind::End;
        tokens.push(Token { at, kind });
        if end {
            return Ok(tokens);
        }
    }
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn skip_space(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(' ' | '\t' | '\n' | '\r' | '\u{c}'), _) => self.at += 1,
                (Some('/'), Some('/')) => {
                    while self.peek(0).is_some_and(|char| char != '\n') {
                        self.at += 1;
                    }
                }
                (Some(_) | None, _) => return,
            }
        }
    }

    fn take_while(&mut self, test: impl Fn(char) -> bool) -> String {
        let taken: String = self.text.iter().skip(self.at).take_while(|char| test(**char)).collect();
        self.at += taken.chars().count();
        taken
    }

    fn token(&mut self) -> Result<TokenKind, Wrong> {
        let at = self.at;
        let Some(first) = self.peek(0) else {
            return Ok(TokenKind::End);
        };
        if first.is_ascii_digit() {
            return self.number();
        }
        if matches!(first, '"' | '\'') {
            return self.quoted(false, false).map(|(text, _)| TokenKind::Text(text));
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let name = self.take_while(|char| char.is_ascii_alphanumeric() || char == '_');
            let quote = matches!(self.peek(0), Some('"' | '\''));
            return match (name.as_str(), quote) {
                ("r" | "R", true) => self.quoted(true, false).map(|(text, _)| TokenKind::Text(text)),
                ("b" | "B", true) => self.quoted(false, true).map(|(_, bytes)| TokenKind::Bytes(bytes)),
                (_, true) => wrong(at, format!("`{name}` begins no literal; `\"…\"`, `r\"…\"` and `b\"…\"` do")),
                (_, false) => Ok(TokenKind::Name(name)),
            };
        }
        let begins = |symbol: &&&str| symbol.chars().enumerate().all(|(ahead, char)| self.peek(ahead) == Some(char));
        if let Some(symbol) = SYMBOLS.iter().find(begins) {
            self.at += symbol.len();
            return Ok(TokenKind::Symbol(symbol));
        }
        match first {
            '{' | '}' => wrong(at, "there are no maps and messages here"),
            '=' => wrong(at, "`=` is no operator; `==` compares"),
            '&' => wrong(at, "`&` is no operator; `&&` is"),
            '|' => wrong(at, "`|` is no operator; `||` is"),
            other => wrong(at, format!("`{}` begins nothing", other.escape_default())),
        }
    }

    fn number(&mut self) -> Result<TokenKind, Wrong> {
        let at = self.at;
        let mut digits = self.take_while(|char| char.is_ascii_alphanumeric());
        // `1.5`, but not `1.size()`.
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|char| char.is_ascii_digit()) {
            return wrong(at, "there are no fractions here; amounts are whole numbers of the smallest unit");
        }
        if digits.ends_with(['u', 'U']) {
            digits.pop();
        }
        let number = digits.parse().map(TokenKind::Number);
        number.or_else(|_| {
            let message = format!("`{digits}` is no number below 2^256; decimal digits, or `0x` and hex digits, are right");
            wrong(at, message)
        })
    }

    /// A quoted literal from its quote on, as text and as bytes; an escape such as `\xff` means a byte in bytes and a character in text.
    fn quoted(&mut self, raw: bool, bytes: bool) -> Result<(String, Vec<u8>), Wrong> {
        let begin = self.at;
        let quote = self.peek(0);
        self.at += 1;
        if self.peek(0) == quote && self.peek(1) == quote {
            return wrong(
                begin,
                "there are no literals in three quotes here; one quote, and `\\n` for a new line, is right",
            );
        }
        let (mut text, mut octets) = (String::new(), Vec::new());
        loop {
            let at = self.at;
            match self.peek(0) {
                None | Some('\n' | '\r') => return wrong(begin, "this literal has no closing quote"),
                char if char == quote => {
                    self.at += 1;
                    return Ok((text, octets));
                }
                Some('\\') if !raw => {
                    self.at += 1;
                    let (code, is_byte) = self.escape(at)?;
                    let char = char::from_u32(code);
                    let Some(char) = char else {
                        return wrong(at, "this escape is no character");
                    };
                    match u8::try_from(code) {
                        Ok(octet) if is_byte => octets.push(octet),
                        Ok(_) | Err(_) if is_byte && bytes => return wrong(at, "this escape is over a byte"),
                        Ok(_) | Err(_) => octets.extend(char.to_string().bytes()),
                    }
                    text.push(char);
                }
                Some(char) => {
                    self.at += 1;
                    text.push(char);
                    octets.extend(char.to_string().bytes());
                }
            }
        }
    }

    /// What follows a backslash: the code, and whether it stands for one byte in bytes.
    fn escape(&mut self, at: usize) -> Result<(u32, bool), Wrong> {
        let kind = self.peek(0);
        self.at += 1;
        let simple = |char: char| Ok((u32::from(char), true));
        match kind {
            Some('n') => simple('\n'),
            Some('t') => simple('\t'),
            Some('r') => simple('\r'),
            Some('a') => simple('\u{7}'),
            Some('b') => simple('\u{8}'),
            Some('f') => simple('\u{c}'),
            Some('v') => simple('\u{b}'),
            Some(char @ ('\\' | '"' | '\'' | '`' | '?')) => simple(char),
            Some('x' | 'X') => Ok((self.code(at, 2, 16)?, true)),
            Some('u') => Ok((self.code(at, 4, 16)?, false)),
            Some('U') => Ok((self.code(at, 8, 16)?, false)),
            Some('0'..='3') => {
                self.at -= 1;
                Ok((self.code(at, 3, 8)?, true))
            }
            Some(_) | None => wrong(
                at,
                "this is no escape; a backslash itself is written `\\\\`, or the literal `r\"…\"`",
            ),
        }
    }

    fn code(&mut self, at: usize, digits: usize, radix: u32) -> Result<u32, Wrong> {
        let text: String = self.text.iter().skip(self.at).take(digits).collect();
        self.at += digits;
        let whole = text.chars().count() == digits && text.chars().all(|char| char.is_digit(radix));
        let code = whole.then(|| u32::from_str_radix(&text, radix).ok()).flatten();
        code.map_or_else(|| wrong(at, format!("this escape has {digits} digits of base {radix}")), Ok)
    }
}
