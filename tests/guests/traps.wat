;; One function for each way to trap.
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (type $nothing (func))
  (func $innermost (unreachable))
  (func $middle (call $innermost))
  (func (export "unreachable") (call $middle))
  (func (export "out_of_bounds") (result i32) (i32.load (i32.const 65536)))
  (func $recurse (export "recurse") (call $recurse) (call $recurse))
  (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
  (func (export "indirect") (call_indirect (type $nothing) (i32.const 0))))
