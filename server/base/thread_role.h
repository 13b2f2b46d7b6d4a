// Thread roles: which thread may call a function, said to the compiler.
//
// A ThreadRole stands for "the projector thread", "this lane's thread", … A member that only that thread may touch is
// GUARDED_BY(role); a function that only it may call is REQUIRES(role). Clang's -Wthread-safety rejects a call from
// elsewhere; other compilers see nothing. A thread takes its role once, where it starts, with ThreadRole::Assume().
#pragma once

#if defined(__clang__)
#define EVERSTATE_ATTRIBUTE(x) __attribute__((x))
#else
#define EVERSTATE_ATTRIBUTE(x)
#endif

#define EVERSTATE_CAPABILITY(x) EVERSTATE_ATTRIBUTE(capability(x))
#define EVERSTATE_GUARDED_BY(x) EVERSTATE_ATTRIBUTE(guarded_by(x))
#define EVERSTATE_REQUIRES(...) EVERSTATE_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EVERSTATE_ASSERT_CAPABILITY(x) EVERSTATE_ATTRIBUTE(assert_capability(x))

namespace everstate {

class EVERSTATE_CAPABILITY("role") ThreadRole {
 public:
  // Tells the compiler that the calling thread has this role from here to the end of the scope.
  void Assume() const EVERSTATE_ASSERT_CAPABILITY(this) {}
};

}  // namespace everstate
