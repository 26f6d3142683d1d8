;; Calls poll_oneoff with parameters of the caller's choice and returns its errno.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "poll") (param i32 i32 i32 i32) (result i32)
    (call $poll (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "clock") (param i32 i32) (result i32)
    (call $clock (local.get 0) (i64.const 0) (local.get 1)))
  ;; One subscription of 1 ms on clock $clock with tag $tag; returns errno * 256 + the event's errno.
  (func (export "wait") (param $tag i32) (param $clock i32) (result i32)
    (i64.store (i32.const 0) (i64.const 77))
    (i32.store8 (i32.const 8) (local.get $tag))
    (i32.store (i32.const 16) (local.get $clock))
    (i64.store (i32.const 24) (i64.const 1000000))
    (i32.add
      (i32.mul (call $poll (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1000)) (i32.const 256))
      (i32.load16_u (i32.const 8)))))
