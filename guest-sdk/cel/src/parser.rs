//! From tokens to a syntax tree: CEL's grammar, without maps, messages and indexing.

use crate::lexer::{Token, TokenKind, Wrong, tokens, wrong};
use sigwarden_guest::U256;

/// The longest expression, in bytes: a page of rules; more is better said in several.
const LENGTH_MAX: usize = 4_096;
/// The deepest nesting: checking and judging go one call deeper for each, on 256 KiB of stack.
const DEPTH_MAX: usize = 32;

/// A node, and the character at which it, or its operator, stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ast {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
    depth: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean(bool),
    Number(U256),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Ast>),
    /// `evm.value`: a name with its fields.
    Path(String),
    /// `size(x)`, or with a receiver `x.size()`.
    Call {
        function: String,
        receiver: Option<Box<Ast>>,
        arguments: Vec<Ast>,
    },
    Not(Box<Ast>),
    /// `&&` (every) or `||` of two or more.
    Junction {
        every: bool,
        parts: Vec<Ast>,
    },
    Binary(&'static str, Box<(Ast, Ast)>),
    /// `condition ? then : otherwise`.
    Conditional(Box<(Ast, Ast, Ast)>),
}

/// Reads an expression.
pub(crate) fn parse(text: &str) -> Result<Ast, Wrong> {
    if text.len() > LENGTH_MAX {
        let message = format!(
            "{} bytes are too many for one expression, which has {LENGTH_MAX} at most",
            text.len()
        );
        return wrong(LENGTH_MAX, message);
    }
    let mut parser = Parser {
        tokens: tokens(text)?.into_iter().peekable(),
        depth: 0,
        end: text.chars().count(),
    };
    let ast = parser.expression()?;
    match parser.next() {
        Token { kind: TokenKind::End, .. } => Ok(ast),
        token => wrong(
            token.at,
            format!(
                "{} follows a whole expression; an operator is missing before it",
                shown(&token.kind)
            ),
        ),
    }
}

/// CEL's operators of two sides, by how strongly they bind.
const OPERATORS: [(&str, u8); 14] = [
    ("||", 1),
    ("&&", 2),
    ("==", 3),
    ("!=", 3),
    ("<", 3),
    ("<=", 3),
    (">", 3),
    (">=", 3),
    ("in", 3),
    ("+", 4),
    ("-", 4),
    ("*", 5),
    ("/", 5),
    ("%", 5),
];

/// Words that CEL keeps for itself.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "null",
];

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
    end: usize,
}

impl Parser {
    fn next(&mut self) -> Token {
        let end = Token {
            at: self.end,
            kind: TokenKind::End,
        };
        self.tokens.next().unwrap_or(end)
    }

    fn is_next(&mut self, symbol: &str) -> bool {
        matches!(self.tokens.peek(), Some(Token { kind: TokenKind::Symbol(next), .. }) if *next == symbol)
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let is = self.is_next(symbol);
        if is {
            self.next();
        }
        is
    }

    fn expect(&mut self, symbol: &str, after: &str) -> Result<(), Wrong> {
        let token = self.next();
        if matches!(token.kind, TokenKind::Symbol(found) if found == symbol) {
            return Ok(());
        }
        wrong(
            token.at,
            format!("`{symbol}` is missing after {after}; {} was found", shown(&token.kind)),
        )
    }

    fn node(&self, at: usize, kind: Kind) -> Result<Ast, Wrong> {
        let depth = 1 + match &kind {
            Kind::Boolean(_) | Kind::Number(_) | Kind::Text(_) | Kind::Bytes(_) | Kind::Path(_) => 0,
            Kind::List(parts) | Kind::Junction { parts, .. } => deepest(parts),
            Kind::Call { receiver, arguments, .. } => deepest(arguments).max(receiver.as_ref().map_or(0, |receiver| receiver.depth)),
            Kind::Not(inner) => inner.depth,
            Kind::Binary(_, sides) => sides.0.depth.max(sides.1.depth),
            Kind::Conditional(parts) => parts.0.depth.max(parts.1.depth).max(parts.2.depth),
        };
        if depth > DEPTH_MAX {
            return wrong(
                at,
                format!("this is nested more than {DEPTH_MAX} deep; two rules, or parentheses, would be right"),
            );
        }
        Ok(Ast { at, kind, depth })
    }

    fn expression(&mut self) -> Result<Ast, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let at = self.next().at;
            return wrong(at, format!("this is nested more than {DEPTH_MAX} deep; two rules would be right"));
        }
        let condition = self.binary(0)?;
        let ast = if self.is_next("?") {
            let at = self.next().at;
            let then = self.binary(0)?;
            self.expect(":", "the first choice of `?`")?;
            let otherwise = self.expression()?;
            self.node(at, Kind::Conditional(Box::new((condition, then, otherwise))))?
        } else {
            condition
        };
        self.depth -= 1;
        Ok(ast)
    }

    /// The next operator, if it binds at least so strongly.
    fn operator(&mut self, least: u8) -> Option<(&'static str, u8)> {
        let text = match &self.tokens.peek()?.kind {
            TokenKind::Symbol(symbol) => symbol,
            TokenKind::Name(name) => name.as_str(),
            TokenKind::Number(_) | TokenKind::Text(_) | TokenKind::Bytes(_) | TokenKind::End => return None,
        };
        OPERATORS
            .iter()
            .copied()
            .find(|(operator, power)| *operator == text && *power >= least)
    }

    fn binary(&mut self, least: u8) -> Result<Ast, Wrong> {
        let mut left = self.unary()?;
        while let Some((operator, power)) = self.operator(least) {
            let at = self.next().at;
            let right = self.binary(power + 1)?;
            left = match (operator, left.kind) {
                ("&&" | "||", Kind::Junction { every, mut parts }) if every == (operator == "&&") => {
                    parts.push(right);
                    self.node(left.at, Kind::Junction { every, parts })?
                }
                ("&&" | "||", kind) => {
                    let parts = vec![Ast { kind, ..left }, right];
                    self.node(
                        at,
                        Kind::Junction {
                            every: operator == "&&",
                            parts,
                        },
                    )?
                }
                (_, kind) => self.node(at, Kind::Binary(operator, Box::new((Ast { kind, ..left }, right))))?,
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Ast, Wrong> {
        if self.is_next("-") {
            return wrong(self.next().at, "there are no negative numbers here");
        }
        let mut nots = Vec::new();
        while self.is_next("!") {
            nots.push(self.next().at);
        }
        let mut ast = self.member()?;
        for at in nots.into_iter().rev() {
            ast = self.node(at, Kind::Not(Box::new(ast)))?;
        }
        Ok(ast)
    }

    fn member(&mut self) -> Result<Ast, Wrong> {
        let mut ast = self.primary()?;
        loop {
            if self.is_next("[") {
                return wrong(
                    self.next().at,
                    "there is no indexing here; `in`, `exists` and `all` look into lists",
                );
            }
            if !self.accept(".") {
                return Ok(ast);
            }
            let token = self.next();
            let TokenKind::Name(name) = token.kind else {
                return wrong(token.at, format!("a name is missing after `.`; {} was found", shown(&token.kind)));
            };
            ast = if self.is_next("(") {
                let arguments = self.arguments()?;
                let receiver = Some(Box::new(ast));
                self.node(
                    token.at,
                    Kind::Call {
                        function: name,
                        receiver,
                        arguments,
                    },
                )?
            } else if let Kind::Path(path) = ast.kind {
                self.node(ast.at, Kind::Path(format!("{path}.{name}")))?
            } else {
                return wrong(token.at, format!("only names have fields; `.{name}` follows something else"));
            };
        }
    }

    fn arguments(&mut self) -> Result<Vec<Ast>, Wrong> {
        self.next();
        self.separated(")", "the arguments")
    }

    /// Expressions between commas up to a closing symbol.
    fn separated(&mut self, close: &str, what: &str) -> Result<Vec<Ast>, Wrong> {
        let mut parts = Vec::new();
        if self.accept(close) {
            return Ok(parts);
        }
        loop {
            parts.push(self.expression()?);
            if !self.accept(",") {
                self.expect(close, what)?;
                return Ok(parts);
            }
        }
    }

    fn primary(&mut self) -> Result<Ast, Wrong> {
        let token = self.next();
        let kind = match token.kind {
            TokenKind::Number(number) => Kind::Number(number),
            TokenKind::Text(text) => Kind::Text(text),
            TokenKind::Bytes(bytes) => Kind::Bytes(bytes),
            TokenKind::Symbol("(") => {
                let inner = self.expression()?;
                self.expect(")", "the parenthesis")?;
                return Ok(inner);
            }
            TokenKind::Symbol("[") => Kind::List(self.separated("]", "the list")?),
            TokenKind::Name(name) => match name.as_str() {
                "true" => Kind::Boolean(true),
                "false" => Kind::Boolean(false),
                "in" => return wrong(token.at, "`in` stands between a value and a list"),
                reserved if RESERVED.contains(&reserved) => {
                    return wrong(token.at, format!("`{reserved}` is a word of CEL that means nothing here"));
                }
                _ if self.is_next("(") => Kind::Call {
                    arguments: self.arguments()?,
                    function: name,
                    receiver: None,
                },
                _ => Kind::Path(name),
            },
            kind @ (TokenKind::Symbol(_) | TokenKind::End) => {
                return wrong(token.at, format!("a value is missing; {} was found", shown(&kind)));
            }
        };
        self.node(token.at, kind)
    }
}

fn deepest(parts: &[Ast]) -> usize {
    parts.iter().map(|part| part.depth).max().unwrap_or(0)
}

fn shown(kind: &TokenKind) -> String {
    match kind {
        TokenKind::Number(number) => format!("`{number}`"),
        TokenKind::Text(_) | TokenKind::Bytes(_) => "a literal".to_owned(),
        TokenKind::Name(name) => format!("`{name}`"),
        TokenKind::Symbol(symbol) => format!("`{symbol}`"),
        TokenKind::End => "the end".to_owned(),
    }
}
