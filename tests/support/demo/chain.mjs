// A chain in one process: real programs in litesvm, slot by slot, with everything that a node tells of a block.

import {
  address, appendTransactionMessageInstructions, createTransactionMessage, getAddressEncoder, getBase58Encoder, getCompiledTransactionMessageDecoder,
  lamports, pipe, setTransactionMessageFeePayerSigner, signTransactionMessageWithSigners,
} from '@solana/kit';
import { getMintDecoder, getTokenDecoder, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';

const CLOCK = address('SysvarC1ock11111111111111111111111111111111');
const SYSTEM_PROGRAM = address('11111111111111111111111111111111');
const SIGNATURE_FEE_LAMPORTS = 5000n;
const RENT_EXEMPT_EPOCH = '18446744073709551615'; // what every account has that is large enough to pay no rent
const TOKEN_ACCOUNT_BYTES = 165;
const MINT_BYTES = 82;

export class Chain {
  #svm = new LiteSVM();
  #writeVersion = 7_600_000_000n;
  #block = null; // the open one
  #last; // the closed one before it: {slot, height, blockhash}

  // `last`: {slot, height} of the block before the first one.
  constructor(last) {
    this.#last = { ...last, blockhash: this.#svm.latestBlockhash() };
  }

  fund(who, amount) {
    this.#svm.setAccount({ address: who, lamports: lamports(amount), data: new Uint8Array(), executable: false, programAddress: SYSTEM_PROGRAM, space: 0n });
  }

  rent(bytes) {
    return this.#svm.minimumBalanceForRentExemption(BigInt(bytes));
  }

  /** The decoded mint, or null where there is none. */
  mint(at) {
    const account = this.#svm.getAccount(at);
    return isOfToken(account, MINT_BYTES) ? getMintDecoder().decode(account.data) : null;
  }

  /** The decoded token account, or null where there is none. */
  token(at) {
    const account = this.#svm.getAccount(at);
    return isOfToken(account, TOKEN_ACCOUNT_BYTES) ? getTokenDecoder().decode(account.data) : null;
  }

  /** {mints, tokens} by address: all that the Token program holds now. */
  accounts() {
    const found = { mints: {}, tokens: {} };
    for (const account of this.#svm.getProgramAccounts(TOKEN_PROGRAM_ADDRESS)) {
      if (account.data.length === MINT_BYTES) {
        const { supply, decimals } = getMintDecoder().decode(account.data);
        found.mints[account.address] = { supply: String(supply), decimals };
      } else if (account.data.length === TOKEN_ACCOUNT_BYTES) {
        const { mint, owner, amount } = getTokenDecoder().decode(account.data);
        found.tokens[account.address] = { mint, owner, amount: String(amount) };
      }
    }
    return found;
  }

  openBlock(slot, time) {
    const clock = this.#svm.getClock();
    clock.slot = BigInt(slot);
    clock.unixTimestamp = BigInt(time);
    this.#svm.setClock(clock);
    this.#block = { slot, time, height: this.#last.height + 1, parent: this.#last, transactions: [], writes: new Map() };
  }

  /** The block. `writes` holds the last write of each account. */
  closeBlock() {
    const block = this.#block;
    this.#write(CLOCK, null);
    this.#svm.expireBlockhash();
    block.blockhash = this.#svm.latestBlockhash();
    this.#last = block;
    this.#block = null;
    return block;
  }

  /** Executes one transaction; it must succeed, or with `fails` be refused by its program. */
  async send(payer, instructions, { fails = false, version = 'legacy' } = {}) {
    const message = pipe(
      createTransactionMessage({ version }),
      (m) => setTransactionMessageFeePayerSigner(payer, m),
      (m) => this.#svm.setTransactionMessageLifetimeUsingLatestBlockhash(m),
      (m) => appendTransactionMessageInstructions(instructions, m),
    );
    const transaction = await signTransactionMessageWithSigners(message);
    const compiled = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes);
    const state = () => compiled.staticAccounts.map((key) => this.#svm.getAccount(key));
    const before = state();
    const result = this.#svm.sendTransaction(transaction);
    const after = state();
    const failed = result instanceof FailedTransactionMetadata;
    if (failed !== fails) throw new Error(`a transaction has ${failed ? 'failed' : 'succeeded'} unexpectedly: ${result.toString()}`);
    const meta = failed ? result.meta() : result;
    const signature = Buffer.from(meta.signature());
    // Of a failed transaction nothing stays but its fee.
    compiled.staticAccounts.forEach((key, i) => {
      if (failed ? i === 0 : isWritable(compiled, i)) this.#write(key, signature);
    });
    this.#block.transactions.push({
      signature,
      index: this.#block.transactions.length,
      transaction: { signatures: Object.values(transaction.signatures), message: messageOf(compiled) },
      meta: {
        ...(failed ? { err: { err: errorBytes(result.err()) } } : {}),
        fee: String(SIGNATURE_FEE_LAMPORTS * BigInt(compiled.header.numSignerAccounts)),
        preBalances: before.map(balance),
        postBalances: after.map(balance),
        innerInstructions: innerInstructions(meta),
        logMessages: meta.logs(),
        preTokenBalances: this.#tokenBalances(before),
        postTokenBalances: this.#tokenBalances(after),
        returnDataNone: true,
        computeUnitsConsumed: String(meta.computeUnitsConsumed()),
      },
    });
  }

  // A later write of the same account in the same block takes the place of the earlier one.
  #write(key, signature) {
    const account = this.#svm.getAccount(key);
    this.#writeVersion += 1n;
    this.#block.writes.set(key, {
      pubkey: keyBytes(key),
      lamports: balance(account),
      owner: keyBytes(account.exists ? account.programAddress : SYSTEM_PROGRAM),
      executable: account.exists && account.executable,
      rentEpoch: RENT_EXEMPT_EPOCH,
      data: account.exists ? account.data : new Uint8Array(),
      writeVersion: String(this.#writeVersion),
      ...(signature === null ? {} : { txnSignature: signature }),
    });
  }

  #tokenBalances(accounts) {
    return accounts.flatMap((account, accountIndex) => {
      if (!isOfToken(account, TOKEN_ACCOUNT_BYTES)) return [];
      const { mint, owner, amount } = getTokenDecoder().decode(account.data);
      const { decimals } = this.mint(mint);
      const uiAmount = Number(amount) / 10 ** decimals;
      return [{ accountIndex, mint, owner, programId: TOKEN_PROGRAM_ADDRESS, uiTokenAmount: { uiAmount, decimals, amount: String(amount), uiAmountString: String(uiAmount) } }];
    });
  }
}

const keyBytes = (key) => getAddressEncoder().encode(key);
const balance = (account) => String(account.exists ? account.lamports : 0n);
const isOfToken = (account, bytes) => account.exists && account.programAddress === TOKEN_PROGRAM_ADDRESS && account.data.length === bytes;

function isWritable({ header, staticAccounts }, i) {
  const { numSignerAccounts, numReadonlySignerAccounts, numReadonlyNonSignerAccounts } = header;
  return i < numSignerAccounts ? i < numSignerAccounts - numReadonlySignerAccounts : i < staticAccounts.length - numReadonlyNonSignerAccounts;
}

function messageOf(compiled) {
  return {
    header: {
      numRequiredSignatures: compiled.header.numSignerAccounts,
      numReadonlySignedAccounts: compiled.header.numReadonlySignerAccounts,
      numReadonlyUnsignedAccounts: compiled.header.numReadonlyNonSignerAccounts,
    },
    accountKeys: compiled.staticAccounts.map(keyBytes),
    recentBlockhash: getBase58Encoder().encode(compiled.lifetimeToken),
    instructions: compiled.instructions.map((instruction) => ({
      programIdIndex: instruction.programAddressIndex,
      accounts: Uint8Array.from(instruction.accountIndices ?? []),
      data: instruction.data ?? new Uint8Array(),
    })),
    versioned: compiled.version !== 'legacy',
  };
}

function innerInstructions(meta) {
  return meta.innerInstructions().flatMap((inner, index) => {
    const instructions = inner.map((item) => {
      const instruction = item.instruction();
      return { programIdIndex: instruction.programIdIndex(), accounts: instruction.accounts(), data: instruction.data(), stackHeight: item.stackHeight() };
    });
    return instructions.length === 0 ? [] : [{ index, instructions }];
  });
}

/** Bincode of InstructionError(index, Custom(code)), the one kind of error that this town makes. */
function errorBytes(error) {
  const code = typeof error === 'number' ? undefined : error.err?.().code;
  if (code === undefined) throw new Error(`a transaction has failed in an unforeseen way: ${error}`);
  const bytes = Buffer.alloc(13);
  bytes.writeUInt32LE(8, 0);
  bytes.writeUInt8(error.index, 4);
  bytes.writeUInt32LE(25, 5);
  bytes.writeUInt32LE(code, 9);
  return bytes;
}
