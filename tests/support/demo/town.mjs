// Who lives in the demo's harbor town, and what they trade in. The stack names tokens and people by these addresses.

import { createHash } from 'node:crypto';

import { createKeyPairSignerFromPrivateKeyBytes } from '@solana/kit';

// All in tokens, as of the morning: what the issuer has, what a person has at least and at most, what a whale has about; and how many
// people have any.
const TOKENS = [
  { symbol: 'CROWN', name: 'Harbor crown', decimals: 6, issuer: 'Harbor Bank', treasury: 900_000, share: [500, 3_000], whale: 400_000, people: 54 },
  { symbol: 'BREAD', name: 'Loaf of bread', decimals: 0, issuer: 'Bakery', treasury: 260, share: [2, 12], whale: 0, people: 30 },
  { symbol: 'KWH', name: 'Kilowatt-hour', decimals: 6, issuer: 'Power Station', treasury: 60_000, share: [50, 400], whale: 15_000, people: 22 },
  { symbol: 'SHARE', name: 'Harbor Company share', decimals: 6, issuer: 'Harbor Company', treasury: 120_000, share: [100, 900], whale: 60_000, people: 14 },
  { symbol: 'GOLD', name: 'Gram of vault gold', decimals: 9, issuer: 'Harbor Bank', treasury: 500, share: [1, 5], whale: 120, people: 8 },
  // Launched in the middle of the day and gone in the evening.
  { symbol: 'TICKET', name: 'Regatta ticket', decimals: 0, issuer: 'Regatta Club', treasury: 0, share: [0, 0], whale: 0, people: 0 },
];

export const TRADES = ['Harbor Bank', 'Bakery', 'Power Station', 'Harbor Company', 'Regatta Club'];
export const WHALES = ['Trading House', 'Shipping Line', 'Old Admiral'];
export const PEOPLE = (
  'Ada Ben Cleo Dan Edda Finn Gus Hana Ivo Jana Kai Lea Max Nele Otto Pia Quin Rosa Sven Tara Udo Vera Wim Xenia Yara Zoe ' +
  'Anton Bela Cora Dirk Ella Fritz Greta Hugo Ines Joris Klara Lars Mara Nils Olga Paul Rike Sam Tilda Urs Vito Wanda ' +
  'Arne Birte Carl Dora Emil Frida'
).split(' ');

// From this many raw units on a transfer is a large one: 10,000 of a token with 6 decimals, 10 grams of gold.
export const LARGE_TRANSFER_RAW = 10_000_000_000;

const signer = (name) => createKeyPairSignerFromPrivateKeyBytes(createHash('sha256').update(`everstate demo: ${name}`).digest());

/** {people: {name: signer}, tokens: [{symbol, …, mint: signer}]}, the same on every run. */
export async function town() {
  const people = {};
  for (const name of [...TRADES, ...WHALES, ...PEOPLE]) people[name] = await signer(name);
  const tokens = [];
  for (const token of TOKENS) tokens.push({ ...token, mint: await signer(`mint of ${token.symbol}`) });
  return { people, tokens };
}
