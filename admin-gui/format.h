// Numbers and texts as a person reads them. Pure; every number gets its unit here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace everstate::console {

std::string Count(uint64_t count);                          // "1,234,567"
std::string Counted(uint64_t count, std::string_view one);  // "1 slot", "1,234 slots"
std::string Number(double number);        // three digits that matter, whole ones as such: "0.42", "12.3", "2", "1,234"
std::string Bytes(double bytes);          // "999 B", "1.2 MB" (powers of 1000)
std::string PerSecond(double rate);       // "12.3 /s"
std::string BytesPerSecond(double rate);  // "1.2 MB/s"
std::string Percent(double share);        // 0.5 -> "50 %"
std::string Seconds(double seconds);      // "0.4 s", "42 s", "3 min 20 s", "2 h 3 min", "5 d 2 h"
std::string Milliseconds(double milliseconds);     // "0.42 ms", "280 ms"
std::string DateAndTime(int64_t unix_seconds);     // local time, "2026-11-25 15:10:03"
std::string TimeOfDay(int64_t unix_milliseconds);  // local time, "15:10:03.120"

// A gap is what is missing between two slots that are there.
uint64_t SlotsMissing(uint64_t from, uint64_t to);
std::string GapSlots(uint64_t from, uint64_t to);  // (100, 105): "slots 101 to 104"; (100, 102): "slot 101"

// At most `chars_max` code points, the last one "…" when something was cut; control characters become spaces, so that
// the text stays on its line. Never cuts inside a code point. Safe with any bytes.
std::string Clip(std::string_view text, size_t chars_max);

// JSON with line breaks and an indent of two, made character by character: it takes any depth and any text, keeps the
// order of the members and every digit, and text that is no JSON comes out as legible as it can.
std::string PrettyJson(std::string_view json);

}  // namespace everstate::console
