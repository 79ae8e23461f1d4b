;; tries: has no `evaluate`
;; must: load exports "`evaluate`"
;; wit: export evaluate: => // evaluate:

