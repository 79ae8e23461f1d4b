;; tries: has twelve memories
;; must: load compile "multiple memories"
(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)
