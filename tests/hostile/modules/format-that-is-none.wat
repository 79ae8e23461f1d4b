;; tries: understands a format that nobody knows
;; must: load manifest "an unknown format"
(data (i32.const 1216) "?")
