#include "server/deployment/rewind.h"

#include <gtest/gtest.h>

namespace everstate {
namespace {

ingest::ArchiveReach Reach(Slot before, Slot last) {
  ingest::ArchiveReach run;
  run.before.slot = before;
  run.first_slot = before + 1;
  run.last.slot = last;
  return run;
}

BlockId At(Slot slot) {
  BlockId id;
  id.slot = slot;
  return id;
}

TEST(MissingFromTest, SaysWhatTheArchiveLacks) {
  ingest::ArchiveListing listing;
  EXPECT_EQ(MissingFrom(listing, At(10), 0), "the archive is empty");
  listing.runs = {Reach(100, 200), Reach(250, 300)};
  EXPECT_EQ(MissingFrom(listing, At(50), 0), "slots 51 to 100 are not in the archive");
  EXPECT_EQ(MissingFrom(listing, At(100), 0), "slots 201 to 250 are not in the archive");
  EXPECT_EQ(MissingFrom(listing, At(200), 0), "slots 201 to 250 are not in the archive");
  EXPECT_EQ(MissingFrom(listing, At(220), 0), "slots 221 to 250 are not in the archive");
  EXPECT_EQ(MissingFrom(listing, At(250), 0), "");
  EXPECT_EQ(MissingFrom(listing, At(300), 300), "");
  EXPECT_EQ(MissingFrom(listing, At(301), 0), "the archive ends at slot 300");
}

// An archive that could not be written for a while, because its disk is full: it ends below the state.
TEST(MissingFromTest, AnArchiveThatEndsBelowTheStateLacksTheRest) {
  ingest::ArchiveListing listing;
  listing.runs = {Reach(100, 300)};
  EXPECT_EQ(MissingFrom(listing, At(150), 301), "the archive ends at slot 300");
}

}  // namespace
}  // namespace everstate
