// The demo's stack: what its three views are made of, in the format of the `*.stack.json` files. The IDL is SPL Token's own, taken from
// the stack SplStream.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { LARGE_TRANSFER_RAW } from './town.mjs';

const IDL_FROM = new URL('../../stacks/SplStream.stack.json', import.meta.url);

/** The text of Demo.stack.json for these inhabitants. */
export function stackText({ people, tokens }) {
  const idl = JSON.parse(readFileSync(IDL_FROM, 'utf8')).idls[0];
  const entities = [tokenEntity(tokens), holderEntity(tokens, people), largeTransferEntity(tokens)];
  for (const entity of entities) entity.program_id = idl.program_id;
  const stack = { ast_version: '0.0.1', stack_name: 'Demo', program_ids: [idl.program_id], idls: [idl], entities, pdas: {}, instructions: [] };
  const content_hash = createHash('sha256').update(JSON.stringify(stack)).digest('hex');
  return JSON.stringify({ ...stack, content_hash }, null, 2) + '\n';
}

/** A token: how much of it there is, what was made and destroyed of it, how it moves. */
function tokenEntity(tokens) {
  const named = (target, of) => tokens.map((token) => map(target, constant(of(token)), 'SetOnce', { condition: equal('__account_address', token.mint.address) }));
  return entity({
    name: 'Token',
    key: 'id.mint',
    fields: {
      'id.mint': 'text', 'about.symbol': 'text', 'about.name': 'text', 'about.decimals': 'u64', 'supply.raw': 'u64', 'supply.tokens': 'f64',
      'minted.count': 'u64', 'minted.tokens': 'f64', 'burned.count': 'u64', 'burned.tokens': 'f64', 'holders.owners': 'u64',
      'transfers.count': 'u64', 'transfers.tokens': 'f64', 'transfers.largest': 'f64', 'transfers.last_from': 'text', 'transfers.last_to': 'text',
      'transfers.last_tokens': 'f64', 'transfers.last_slot': 'u64',
    },
    handlers: [
      handler('MintState', '__account_address', [
        map('id.mint', from('__account_address'), 'SetOnce'),
        ...named('about.symbol', (token) => token.symbol),
        ...named('about.name', (token) => token.name),
        map('about.decimals', from('decimals'), 'LastWrite'),
        map('supply.raw', from('supply'), 'LastWrite'),
      ]),
      handler('TokenState', 'mint', [map('id.mint', from('mint'), 'SetOnce'), map('holders.owners', from('owner'), 'UniqueCount')]),
      handler('MintToCheckedIxState', 'accounts.mint', flow('minted')),
      handler('BurnCheckedIxState', 'accounts.mint', flow('burned')),
      handler('TransferCheckedIxState', 'accounts.mint', [
        ...flow('transfers'),
        map('transfers.largest_raw', from('data.amount'), 'Max', { hidden: true }),
        ...newest('transfers.last_'),
      ]),
    ],
    computed: [
      uiAmount('supply.tokens', 'supply.raw'),
      ...['minted.tokens', 'burned.tokens', 'transfers.tokens', 'transfers.largest', 'transfers.last_tokens'].map((target) => uiAmount(target)),
    ],
  });
}

/** A token account: whose it is, what is in it, what went in and out. */
function holderEntity(tokens, people) {
  const decimals = map('about.decimals', from('data.decimals'), 'LastWrite', { hidden: true });
  const set = (target_field, value) => ({ SetField: { target_field, source: constant(value), condition: null } });
  return entity({
    name: 'Holder',
    key: 'id.account',
    fields: {
      'id.account': 'text', 'id.mint': 'text', 'id.owner': 'text', 'about.who': 'text', 'about.token': 'text', 'about.state': 'text',
      'balance.raw': 'u64', 'balance.tokens': 'f64', 'approved.tokens': 'f64', 'sent.count': 'u64', 'sent.tokens': 'f64',
      'received.count': 'u64', 'received.tokens': 'f64', payments: 'list',
    },
    handlers: [
      handler('TokenState', '__account_address', [
        map('id.account', from('__account_address'), 'SetOnce'),
        map('id.mint', from('mint'), 'SetOnce'),
        map('id.owner', from('owner'), 'LastWrite'),
        ...tokens.map((token) => map('about.token', constant(token.symbol), 'SetOnce', { condition: equal('mint', token.mint.address) })),
        ...Object.entries(people).map(([name, { address }]) => map('about.who', constant(name), 'SetOnce', { condition: equal('owner', address) })),
        map('about.state', constant('open'), 'LastWrite'),
        map('balance.raw', from('amount'), 'LastWrite'),
        map('approved.tokens_raw', from('delegated_amount'), 'LastWrite', { hidden: true }),
      ]),
      handler('TransferCheckedIxState', 'accounts.source', [
        decimals, ...flow('sent'), map('payments', asEvent('accounts.destination', 'data.amount'), 'Append'),
      ]),
      handler('TransferCheckedIxState', 'accounts.destination', [decimals, ...flow('received')]),
      handler('MintToCheckedIxState', 'accounts.token', [decimals]),
      handler('BurnCheckedIxState', 'accounts.account', [decimals]),
    ],
    // Of a closed account the stream tells nothing more than that it has no lamports.
    hooks: [
      {
        instruction_type: 'spl_token::CloseAccountIxState',
        actions: [set('about.state', 'closed'), set('balance.raw', 0), set('approved.tokens_raw', 0)],
        lookup_by: path('accounts.account'),
      },
    ],
    computed: [uiAmount('balance.tokens', 'balance.raw'), ...['approved.tokens', 'sent.tokens', 'received.tokens'].map((target) => uiAmount(target))],
  });
}

/** The large transfers of a token: how many, how much, and the newest of them as a list. */
function largeTransferEntity(tokens) {
  const large = atLeast('data.amount', LARGE_TRANSFER_RAW);
  const onlyLarge = (mapping) => ({ ...mapping, condition: mapping.condition ? both(large, mapping.condition) : large });
  return entity({
    name: 'LargeTransfer',
    key: 'id.mint',
    fields: {
      'id.mint': 'text', 'about.token': 'text', 'total.count': 'u64', 'total.tokens': 'f64', 'total.largest': 'f64', 'last.from': 'text',
      'last.to': 'text', 'last.tokens': 'f64', 'last.slot': 'u64', 'last.time': 'u64', transfers: 'list',
    },
    handlers: [
      handler(
        'TransferCheckedIxState',
        'accounts.mint',
        [
          map('id.mint', from('accounts.mint'), 'SetOnce'),
          ...tokens.map((token) => map('about.token', constant(token.symbol), 'SetOnce', { condition: equal('accounts.mint', token.mint.address) })),
          map('about.decimals', from('data.decimals'), 'LastWrite', { hidden: true }),
          ...flow('total'),
          map('total.largest_raw', from('data.amount'), 'Max', { hidden: true }),
          ...newest('last.'),
          map('last.time', context('timestamp'), 'LastWrite'),
          map('transfers', asEvent('accounts.source', 'accounts.destination', 'data.amount'), 'Append'),
        ].map(onlyLarge),
      ),
    ],
    computed: ['total.tokens', 'total.largest', 'last.tokens'].map((target) => uiAmount(target)),
  });
}

// Mappings that come often.

function flow(section) {
  return [map(`${section}.count`, from('data'), 'Count'), map(`${section}.tokens_raw`, from('data.amount'), 'Sum', { hidden: true })];
}

function newest(prefix) {
  return [
    map(`${prefix}from`, from('accounts.source'), 'LastWrite'),
    map(`${prefix}to`, from('accounts.destination'), 'LastWrite'),
    map(`${prefix}tokens_raw`, from('data.amount'), 'LastWrite', { hidden: true }),
    map(`${prefix}slot`, context('slot'), 'LastWrite'),
  ];
}

/** A field in whole tokens, from the one in raw units. */
function uiAmount(target_path, raw = `${target_path}_raw`) {
  const field = (text) => ({ FieldRef: { path: text } });
  const args = [field(raw), field('about.decimals')];
  return { target_path, expression: { ResolverComputed: { resolver: 'TokenMetadata', method: 'ui_amount', args } }, result_type: 'Option < f64 >' };
}

// The parts of the format.

function path(text) {
  return { segments: text.split('.'), offsets: null };
}

function from(text) {
  return { FromSource: { path: path(text), default: null, transform: null } };
}

function constant(value) {
  return { Constant: value };
}

function context(field) {
  return { FromContext: { field } };
}

function asEvent(...fields) {
  return { AsEvent: { fields: fields.map(from) } };
}

function equal(field, text) {
  return { expression: `${field} == "${text}"`, parsed: { Comparison: { field: path(field), op: 'Equal', value: text } } };
}

function atLeast(field, number) {
  return { expression: `${field} >= ${number}`, parsed: { Comparison: { field: path(field), op: 'GreaterThanOrEqual', value: number } } };
}

function both(a, b) {
  return { expression: `${a.expression} && ${b.expression}`, parsed: { Logical: { op: 'And', conditions: [a.parsed, b.parsed] } } };
}

// A hidden field is there to compute others from; clients do not see it.
function map(target_path, source, population, { condition, hidden = false } = {}) {
  return { target_path, source, transform: null, population, ...(condition ? { condition } : {}), ...(hidden ? { emit: false } : {}) };
}

function handler(type, key, mappings) {
  return {
    source: { Source: { program_id: null, discriminator: null, type_name: `spl_token::${type}`, is_account: !type.endsWith('IxState') } },
    key_resolution: { Embedded: { primary_field: path(key) } },
    mappings,
    conditions: [],
    emit: true,
  };
}

const FIELD_TYPES = {
  text: ['Option < String >', 'String', 'String'],
  u64: ['Option < u64 >', 'Integer', 'u64'],
  f64: ['Option < f64 >', 'Float', 'f64'],
  list: ['Option < Vec < serde_json :: Value > >', 'Array', 'serde_json :: Value'],
};

function fieldInfo(field_name, type) {
  const [rust_type_name, base_type, inner_type] = FIELD_TYPES[type];
  return { field_name, rust_type_name, base_type, is_optional: true, is_array: type === 'list', inner_type, source_path: null, resolved_type: null };
}

// `fields` are those that clients see, with their types.
function entity({ name, key, fields, handlers, hooks = [], computed }) {
  const sections = {};
  const field_mappings = {};
  for (const target of Object.keys(fields).sort()) {
    const [leaf, section = 'root'] = target.split('.').reverse();
    const info = fieldInfo(leaf, fields[target]);
    field_mappings[target] = info;
    (sections[section] ??= []).push(info);
  }
  return {
    ast_version: '0.0.1',
    state_name: name,
    program_id: null,
    idl: null,
    identity: { primary_keys: [key], lookup_indexes: [] },
    handlers,
    sections: Object.entries(sections).map(([section, infos]) => ({ name: section, fields: infos, is_nested_struct: false, parent_field: null })),
    field_mappings,
    resolver_hooks: [],
    instruction_hooks: hooks,
    resolver_specs: [],
    computed_fields: computed.map(({ target_path }) => target_path),
    computed_field_specs: computed,
    views: [],
  };
}
