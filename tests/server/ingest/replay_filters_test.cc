// Filters through the real server, against predicates written directly on the messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/server/ingest/replay_support.h"

namespace everstate {
namespace {

using namespace everstate::testing;  // NOLINT: the whole file is about these helpers
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using geyser::SubscribeRequest;
using geyser::SubscribeUpdate;

// All slot updates under the name "end": the recordings end with one, so their number says when everything is there.
Updates Serve(const std::string& path, SubscribeRequest request, size_t slot_updates) {
  ReplayOptions options;
  options.files = {path};
  options.slots_per_second.reset();
  auto server = StartReplay(options);
  (*request.mutable_slots())["end"].set_interslot_updates(true);
  StreamClient client(server->port(), request);
  size_t slots = 0;
  Updates all =
      client.ReadUntil([&](const SubscribeUpdate& update) { return update.has_slot() && ++slots == slot_updates; });
  Updates named;
  for (SubscribeUpdate& update : all) {
    if (update.filters_size() == 1 && update.filters(0) == "end") continue;
    EXPECT_TRUE(update.has_created_at());
    named.push_back(update);
  }
  return named;
}

struct Case {
  std::string what;
  SubscribeRequest request;
  Predicate expected;
};

bool HasKey(const SubscribeUpdate& update, const std::string& key) {
  const auto& info = update.transaction().transaction();
  for (const std::string& k : info.transaction().message().account_keys())
    if (k == key) return true;
  for (const std::string& k : info.meta().loaded_writable_addresses())
    if (k == key) return true;
  for (const std::string& k : info.meta().loaded_readonly_addresses())
    if (k == key) return true;
  return false;
}

Case AccountCase(const std::string& what, const std::function<void(geyser::SubscribeRequestFilterAccounts*)>& fill,
                 const std::function<bool(const geyser::SubscribeUpdateAccountInfo&)>& expected) {
  Case c{what, {}, [expected](const SubscribeUpdate& u) { return u.has_account() && expected(u.account().account()); }};
  fill(&(*c.request.mutable_accounts())["x"]);
  return c;
}

Case TransactionCase(const std::string& what,
                     const std::function<void(geyser::SubscribeRequestFilterTransactions*)>& fill,
                     const Predicate& expected) {
  Case c{what, {}, [expected](const SubscribeUpdate& u) { return u.has_transaction() && expected(u); }};
  fill(&(*c.request.mutable_transactions())["x"]);
  return c;
}

// What two different keys, owners and signatures of a recording are is all that the cases need to know of it.
std::vector<Case> Cases(const std::string& key, const std::string& owner, const std::string& other,
                        const std::string& signature) {
  using Accounts = geyser::SubscribeRequestFilterAccounts;
  using Info = geyser::SubscribeUpdateAccountInfo;
  using Transactions = geyser::SubscribeRequestFilterTransactions;
  auto any = [](const SubscribeUpdate&) { return true; };
  auto failed = [](const SubscribeUpdate& u) { return u.transaction().transaction().meta().has_err(); };
  auto vote = [](const SubscribeUpdate& u) { return u.transaction().transaction().is_vote(); };
  auto token = [](const Info& i) {
    const std::string& d = i.data();
    return d.size() >= 165 && d.size() != 355 && d[108] != 0 && (d.size() == 165 || d[165] == 2);
  };
  std::vector<Case> cases = {
      AccountCase(
          "every account", [](Accounts*) {}, [](const Info&) { return true; }),
      AccountCase(
          "account", [=](Accounts* f) { f->add_account(Base58(key)); },
          [=](const Info& i) { return i.pubkey() == key; }),
      AccountCase(
          "owner", [=](Accounts* f) { f->add_owner(Base58(owner)); },
          [=](const Info& i) { return i.owner() == owner; }),
      AccountCase(
          "account of another owner",
          [=](Accounts* f) {
            f->add_account(Base58(key));
            f->add_owner(Base58(key));
          },
          [=](const Info& i) { return i.pubkey() == key && i.owner() == key; }),
      AccountCase(
          "key that is nowhere", [](Accounts* f) { f->add_account(Base58(Key(77))); },
          [](const Info&) { return false; }),
      AccountCase(
          "datasize", [](Accounts* f) { f->add_filters()->set_datasize(165); },
          [](const Info& i) { return i.data().size() == 165; }),
      AccountCase(
          "token accounts", [](Accounts* f) { f->add_filters()->set_token_account_state(true); }, token),
      AccountCase(
          "lamports",
          [](Accounts* f) {
            f->add_filters()->mutable_lamports()->set_gt(1);
            f->add_filters()->mutable_lamports()->set_lt(2039281);
          },
          [](const Info& i) { return i.lamports() > 1 && i.lamports() < 2039281; }),
      AccountCase(
          "lamports equal", [](Accounts* f) { f->add_filters()->mutable_lamports()->set_eq(1); },
          [](const Info& i) { return i.lamports() == 1; }),
      AccountCase(
          "lamports not equal", [](Accounts* f) { f->add_filters()->mutable_lamports()->set_ne(1); },
          [](const Info& i) { return i.lamports() != 1; }),
      AccountCase(
          "with a signature", [](Accounts* f) { f->set_nonempty_txn_signature(true); },
          [](const Info& i) { return i.has_txn_signature(); }),
      AccountCase(
          "without a signature", [](Accounts* f) { f->set_nonempty_txn_signature(false); },
          [](const Info& i) { return !i.has_txn_signature(); }),
      AccountCase(
          "memcmp",
          [](Accounts* f) {
            auto* m = f->add_filters()->mutable_memcmp();
            m->set_offset(2);
            m->set_bytes("cd");
            auto* n = f->add_filters()->mutable_memcmp();
            n->set_offset(4);
            n->set_base64("ZWY=");
          },
          [](const Info& i) { return i.data().size() >= 6 && i.data().substr(2, 4) == "cdef"; }),
      AccountCase(
          "memcmp behind the data",
          [](Accounts* f) {
            auto* m = f->add_filters()->mutable_memcmp();
            m->set_offset(8);
            m->set_base58(Base58("ijk"));
          },
          [](const Info& i) { return i.data().size() >= 11 && i.data().substr(8, 3) == "ijk"; }),
      TransactionCase(
          "every transaction", [](Transactions*) {}, any),
      TransactionCase(
          "no votes", [](Transactions* f) { f->set_vote(false); }, [=](const SubscribeUpdate& u) { return !vote(u); }),
      TransactionCase(
          "votes", [](Transactions* f) { f->set_vote(true); }, vote),
      TransactionCase(
          "successful", [](Transactions* f) { f->set_failed(false); },
          [=](const SubscribeUpdate& u) { return !failed(u); }),
      TransactionCase(
          "failed", [](Transactions* f) { f->set_failed(true); }, failed),
      TransactionCase(
          "include",
          [=](Transactions* f) {
            f->add_account_include(Base58(key));
            f->add_account_include(Base58(other));
          },
          [=](const SubscribeUpdate& u) { return HasKey(u, key) || HasKey(u, other); }),
      TransactionCase(
          "include what is nowhere", [](Transactions* f) { f->add_account_include(Base58(Key(77))); },
          [](const SubscribeUpdate&) { return false; }),
      TransactionCase(
          "exclude", [=](Transactions* f) { f->add_account_exclude(Base58(other)); },
          [=](const SubscribeUpdate& u) { return !HasKey(u, other); }),
      TransactionCase(
          "required",
          [=](Transactions* f) {
            f->add_account_required(Base58(key));
            f->add_account_required(Base58(other));
          },
          [=](const SubscribeUpdate& u) { return HasKey(u, key) && HasKey(u, other); }),
      TransactionCase(
          "required that is nowhere", [](Transactions* f) { f->add_account_required(Base58(Key(77))); },
          [](const SubscribeUpdate&) { return false; }),
      TransactionCase(
          "signature", [=](Transactions* f) { f->set_signature(Base58(signature)); },
          [=](const SubscribeUpdate& u) { return u.transaction().transaction().signature() == signature; }),
  };
  Case metas{"block metas", {}, [](const SubscribeUpdate& u) { return u.has_block_meta(); }};
  (*metas.request.mutable_blocks_meta())["x"];
  Case entries{"entries", {}, [](const SubscribeUpdate& u) { return u.has_entry(); }};
  (*entries.request.mutable_entry())["x"];
  Case slots{"slots", {}, [](const SubscribeUpdate& u) {
               return u.has_slot() && u.slot().status() <= geyser::SLOT_FINALIZED;
             }};
  (*slots.request.mutable_slots())["x"];
  Case level{"slots of the level", {}, [](const SubscribeUpdate& u) {
               return u.has_slot() && u.slot().status() == geyser::SLOT_CONFIRMED;
             }};
  (*level.request.mutable_slots())["x"].set_filter_by_commitment(true);
  (*level.request.mutable_slots())["x"].set_interslot_updates(true);
  level.request.set_commitment(geyser::CONFIRMED);
  Case absent{"slots of the default level", {}, [](const SubscribeUpdate& u) {
                return u.has_slot() && u.slot().status() == geyser::SLOT_PROCESSED;
              }};
  (*absent.request.mutable_slots())["x"].set_filter_by_commitment(true);
  for (const Case& c : {metas, entries, slots, level, absent}) cases.push_back(c);
  return cases;
}

// All cases in one request, each under its own name: the names on an update are the cases that expect it.
void CheckCases(const std::string& path, const std::vector<Case>& cases, geyser::CommitmentLevel level) {
  const Updates recorded = ReadRecording(path);
  SubscribeRequest request;
  request.set_commitment(level);
  std::vector<const Case*> used;
  for (const Case& c : cases) {
    if (c.request.slots().contains("x") && c.request.slots().at("x").filter_by_commitment() &&
        c.request.commitment() != level)
      continue;
    used.push_back(&c);
    const std::string name = c.what;
    for (const auto& [x, f] : c.request.accounts()) (*request.mutable_accounts())[name] = f;
    for (const auto& [x, f] : c.request.transactions()) (*request.mutable_transactions())[name] = f;
    for (const auto& [x, f] : c.request.slots()) (*request.mutable_slots())[name] = f;
    for (const auto& [x, f] : c.request.blocks_meta()) (*request.mutable_blocks_meta())[name] = f;
    for (const auto& [x, f] : c.request.entry()) (*request.mutable_entry())[name] = f;
  }
  size_t slot_updates = 0;
  std::map<std::string, std::vector<std::string>> expected, got;
  for (const SubscribeUpdate& update : recorded) {
    slot_updates += update.has_slot();
    for (const Case* c : used) {
      if (c->expected(update)) expected[c->what].push_back(Bare(update).SerializeAsString());
    }
  }
  for (const SubscribeUpdate& update : Serve(path, request, slot_updates)) {
    for (const std::string& name : update.filters()) {
      if (name != "end") got[name].push_back(Bare(update).SerializeAsString());
    }
  }
  for (const Case* c : used) EXPECT_EQ(got[c->what], expected[c->what]) << c->what;
}

TEST(ReplayFilters, OnAMadeRecording) {
  const Updates made = MadeRecording();
  TemporaryRecording recording(made);
  std::string signature;
  for (const SubscribeUpdate& update : made)
    if (update.has_transaction()) signature = update.transaction().transaction().signature();
  const auto cases = Cases(Key(1), Key(4), Key(20), signature);
  CheckCases(recording.path(), cases, geyser::CONFIRMED);
  CheckCases(recording.path(), cases, geyser::PROCESSED);
}

TEST(ReplayFilters, OnARealRecording) {
  const Updates recorded = ReadRecording(kSmallRecording);
  std::string key, owner, other, signature;
  for (const SubscribeUpdate& update : recorded) {
    if (update.has_transaction()) {
      signature = update.transaction().transaction().signature();
      const auto& meta = update.transaction().transaction().meta();
      if (meta.loaded_readonly_addresses_size() > 0) other = meta.loaded_readonly_addresses(0);
    }
    if (update.has_account() && update.account().account().has_txn_signature()) {
      key = update.account().account().pubkey();
      owner = update.account().account().owner();
    }
  }
  ASSERT_FALSE(other.empty());
  CheckCases(kSmallRecording, Cases(key, owner, other, signature), geyser::CONFIRMED);
}

TEST(ReplayFilters, SlicesOfAccountData) {
  TemporaryRecording recording(MadeRecording());
  SubscribeRequest request;
  (*request.mutable_accounts())["x"].add_account(Base58(Key(1)));
  for (auto [offset, length] : {std::pair(1, 2), std::pair(4, 3), std::pair(9, 100), std::pair(500, 1)}) {
    auto* slice = request.add_accounts_data_slice();
    slice->set_offset(static_cast<uint64_t>(offset));
    slice->set_length(static_cast<uint64_t>(length));
  }
  std::vector<std::string> expected;
  size_t slots = 0;
  for (SubscribeUpdate update : MadeRecording()) {
    slots += update.has_slot();
    if (!update.has_account() || update.account().account().pubkey() != Key(1)) continue;
    update.mutable_account()->mutable_account()->set_data("bcefgj");
    expected.push_back(Bare(update).SerializeAsString());
  }
  EXPECT_EQ(BareBytes(Serve(recording.path(), request, slots)), expected);
}

TEST(ReplayFilters, TransactionStatusIsMadeOfTheTransaction) {
  TemporaryRecording recording(MadeRecording());
  SubscribeRequest request;
  (*request.mutable_transactions_status())["x"].set_vote(false);
  (*request.mutable_transactions())["y"].set_failed(true);
  std::vector<std::string> expected;
  size_t slots = 0;
  for (const SubscribeUpdate& update : MadeRecording()) {
    slots += update.has_slot();
    if (!update.has_transaction()) continue;
    const auto& info = update.transaction().transaction();
    if (info.meta().has_err()) expected.push_back(Bare(update).SerializeAsString());
    if (info.is_vote()) continue;
    SubscribeUpdate status;
    auto* s = status.mutable_transaction_status();
    s->set_slot(update.transaction().slot());
    s->set_signature(info.signature());
    s->set_index(info.index());
    if (info.meta().has_err()) *s->mutable_err() = info.meta().err();
    expected.push_back(status.SerializeAsString());
  }
  EXPECT_EQ(BareBytes(Serve(recording.path(), request, slots)), expected);
}

TEST(ReplayFilters, ALaterRequestReplacesThem) {
  TemporaryRecording recording(MadeRecording());
  ReplayOptions options;
  options.files = {recording.path()};
  options.wait_subscribers = 2;
  options.slots_per_second.reset();
  auto server = StartReplay(options);
  SubscribeRequest first, second;
  (*first.mutable_accounts())["first"];
  (*second.mutable_blocks_meta())["second"];
  StreamClient client(server->port(), first);
  client.Send(second);
  client.Ping(5);
  SubscribeUpdate update;
  while (client.Read(&update) && !update.has_pong()) EXPECT_TRUE(update.has_ping());
  EXPECT_EQ(update.pong().id(), 5);
  StreamClient other(server->port(), first);
  for (const SubscribeUpdate& u :
       client.ReadUntil([](const SubscribeUpdate& u) { return SlotOf(u) == kMadeLastSlot; })) {
    EXPECT_THAT(u.filters(), ElementsAre("second"));
  }
}

TEST(ReplayFilters, WhatItDoesNotHaveIsRefusedByName) {
  TemporaryRecording recording(MadeRecording());
  ReplayOptions options;
  options.files = {recording.path()};
  auto server = StartReplay(options);
  std::vector<std::pair<std::string, std::function<void(SubscribeRequest*)>>> requests = {
      {"accounts.x.cuckoo_accounts_filter",
       [](auto* r) { (*r->mutable_accounts())["x"].mutable_cuckoo_accounts_filter(); }},
      {"transactions.x.cuckoo_account_include",
       [](auto* r) { (*r->mutable_transactions())["x"].mutable_cuckoo_account_include(); }},
      {"transactions.x.token_accounts",
       [](auto* r) { (*r->mutable_transactions())["x"].set_token_accounts(geyser::ALL); }},
      {"transactions_status.x.token_accounts",
       [](auto* r) { (*r->mutable_transactions_status())["x"].set_token_accounts(geyser::ALL); }},
      {"blocks.x", [](auto* r) { (*r->mutable_blocks())["x"]; }},
      {"commitment", [](auto* r) { r->set_commitment(geyser::FINALIZED); }},
      {"accounts.x.account[1]",
       [](auto* r) {
         auto& f = (*r->mutable_accounts())["x"];
         f.add_account(Base58(Key(1)));
         f.add_account("0OIl");
       }},
      {"accounts.x.owner[0]", [](auto* r) { (*r->mutable_accounts())["x"].add_owner("abc"); }},
      {"accounts.x.filters[0].token_account_state",
       [](auto* r) { (*r->mutable_accounts())["x"].add_filters()->set_token_account_state(false); }},
      {"accounts.x.filters[0]", [](auto* r) { (*r->mutable_accounts())["x"].add_filters(); }},
      {"accounts.x.filters[0].memcmp.base58",
       [](auto* r) { (*r->mutable_accounts())["x"].add_filters()->mutable_memcmp()->set_base58("0"); }},
      {"accounts.x.filters[0].memcmp.base64",
       [](auto* r) { (*r->mutable_accounts())["x"].add_filters()->mutable_memcmp()->set_base64("?"); }},
      {"accounts.x.filters[0].memcmp",
       [](auto* r) {
         (*r->mutable_accounts())["x"].add_filters()->mutable_memcmp()->set_bytes(std::string(129, 'x'));
       }},
      {"accounts.x.filters[1].datasize",
       [](auto* r) {
         for (int i = 0; i < 2; ++i) (*r->mutable_accounts())["x"].add_filters()->set_datasize(1);
       }},
      {"accounts.x.filters[0].lamports",
       [](auto* r) { (*r->mutable_accounts())["x"].add_filters()->mutable_lamports(); }},
      {"accounts.x.filters",
       [](auto* r) {
         for (int i = 0; i < 5; ++i) (*r->mutable_accounts())["x"].add_filters()->mutable_lamports()->set_eq(1);
       }},
      {"transactions.x.signature", [](auto* r) { (*r->mutable_transactions())["x"].set_signature("abc"); }},
      {"accounts_data_slice[1]",
       [](auto* r) {
         for (int i = 0; i < 2; ++i) r->add_accounts_data_slice()->set_length(5);
       }},
      {"slots." + std::string(129, 'n'), [](auto* r) { (*r->mutable_slots())[std::string(129, 'n')]; }},
  };
  for (const auto& [field, fill] : requests) {
    SubscribeRequest request;
    fill(&request);
    StreamClient client(server->port(), request);
    const grpc::Status status = client.Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
    EXPECT_THAT(status.error_message(), HasSubstr("failed to create filter: " + field + ": "));
  }
  EXPECT_FALSE(server->progress().begun);
}

}  // namespace
}  // namespace everstate
