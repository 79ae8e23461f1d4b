;; tries: is made for the contract's next version
;; must: load version "`sigwarden:policy/types@0.2.0`; this host speaks `sigwarden:policy@0.1.0`: build it against that, or use the Sigwarden that it was made for"
;; wit: policy@0.1.0 => policy@0.2.0

