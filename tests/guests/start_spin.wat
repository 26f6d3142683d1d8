;; Loops for ever in its start function, during instantiation.
(module
  (func $forever (loop $again (br $again)))
  (start $forever)
  (func (export "run")))
