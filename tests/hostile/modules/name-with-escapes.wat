;; tries: is called what clears the terminal
;; must: load manifest "the name `\u{1b}[2Jxxx`"
(data (i32.const 1100) "\1b[2Jxxx")
