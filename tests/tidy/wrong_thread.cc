// Calls across threads. thread_role_test.py has Clang look at this file: the lines marked WRONG must be refused and no
// others.
#include "server/deployment/hand_over.h"
#include "server/deployment/line.h"
#include "server/fanout/lane.h"
#include "server/ingest/ingest.h"
#include "server/projector/projector.h"

namespace everstate {

void OnTheIngestThread(ingest::Ingest& feed, HandOver& hand_over, Projector& projector, Line& line,
                       const Block& block) {
  kIngestThread.Assume();
  static_cast<void>(hand_over.Take(ingest::Restarted{}));
  static_cast<void>(hand_over.stats());
  static_cast<void>(feed.status());
  static_cast<void>(hand_over.Pop());           // WRONG
  static_cast<void>(projector.Project(block));  // WRONG
  static_cast<void>(line.Project(block));       // WRONG
  line.serving = true;                          // WRONG
}

void OnTheProjectorThread(ingest::Ingest& feed, HandOver& hand_over, Projector& projector, Lane& lane, Peer* peer,
                          const Block& block) {
  kProjectorThread.Assume();
  static_cast<void>(hand_over.Pop());
  static_cast<void>(projector.Project(block));
  feed.Stop();
  lane.Publish(nullptr);
  static_cast<void>(feed.Run());                           // WRONG
  static_cast<void>(hand_over.Take(ingest::Restarted{}));  // WRONG
  lane.MarkDirty(peer);                                    // WRONG
}

void OnALane(Lane& lane, Peer* peer, Projector& projector, Applier& applier) {
  kLaneThread.Assume();
  lane.MarkDirty(peer);
  static_cast<void>(projector.stats());
  static_cast<void>(applier.Apply(nullptr));  // WRONG
}

// Nobody said which thread this is.
void Anywhere(HandOver& hand_over, Lane& lane) {
  static_cast<void>(hand_over.stats());
  hand_over.Hold();                           // WRONG
  static_cast<void>(lane.store());            // WRONG
  lane.Post([&lane] { lane.FlushDirty(); });  // WRONG
}

}  // namespace everstate
