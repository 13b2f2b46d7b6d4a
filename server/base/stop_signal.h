// SIGINT and SIGTERM, turned into a question.
#pragma once

namespace everstate {

// Whether one of them came. The first call sets the handlers, for the rest of the process, and ignores SIGPIPE. The
// first signal asks for an orderly stop; one that follows more than a second later means that it takes too long for
// somebody, and ends the process at once. Any thread.
bool StopRequested();

}  // namespace everstate
