// What is asked of a Yellowstone server, as its own messages say it.
#pragma once

#include <optional>

#include "proto/geyser.pb.h"
#include "server/ingest/source.h"

namespace everstate::ingest {

geyser::CommitmentLevel LevelOf(Commitment commitment);
geyser::SubscribeRequest MakeRequest(const Subscription& subscription, std::optional<Slot> from_slot);

}  // namespace everstate::ingest
