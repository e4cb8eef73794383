//! One contract for every engine, and for the rules of committing over each of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "engines/access.rs"]
mod access;
#[path = "engines/crash.rs"]
mod crash;
#[path = "engines/desk.rs"]
mod desk;
#[path = "engines/engine.rs"]
mod engine;
#[path = "support/faulty.rs"]
mod faulty;
#[path = "engines/groups.rs"]
mod groups;
#[path = "engines/history.rs"]
mod history;
#[path = "engines/hooks.rs"]
mod hooks;
#[path = "engines/house.rs"]
mod house;
#[path = "engines/ledger.rs"]
mod ledger;
#[path = "engines/page.rs"]
mod page;
#[path = "engines/people.rs"]
mod people;
#[path = "engines/restore.rs"]
mod restore;

macro_rules! contract {
    ($($file:ident: $($case:ident)+;)+) => {
        mod memory {
            $($(
                #[test]
                fn $case() {
                    super::$file::$case::<super::house::Memory>();
                }
            )+)+
        }

        mod sled {
            $($(
                #[test]
                fn $case() {
                    super::$file::$case::<super::house::Sled>();
                }
            )+)+
        }

        mod log {
            $($(
                #[test]
                fn $case() {
                    super::$file::$case::<super::house::Log>();
                }
            )+)+
        }

        mod settled {
            $($(
                #[test]
                fn $case() {
                    super::$file::$case::<super::house::Settled>();
                }
            )+)+
        }
    };
}

contract! {
    engine:
        what_is_put_can_be_had_until_it_is_deleted
        a_batch_is_visible_as_soon_as_it_is_applied
        the_latest_write_of_a_batch_wins
        a_scan_is_ordered_and_includes_both_ends
        a_scan_stops_when_it_is_told_to
        a_scan_from_above_its_end_is_empty
        a_batch_of_256_is_taken
        values_of_300_kilobytes_come_back_whole
        what_was_flushed_is_there_after_a_reopen
        what_was_flushed_is_there_after_a_restart
        a_reopened_engine_takes_writes_again;
    ledger:
        the_sequence_of_a_reader_starts_at_1_and_has_no_gap
        an_emptied_inbox_goes_on_counting_also_after_a_restart
        a_repeat_gets_the_first_answer_again_and_makes_no_row
        a_repeat_within_one_batch_makes_no_row
        a_repeat_says_what_became_of_the_message
        a_repeat_after_a_restart_is_still_one
        a_repeat_of_an_unread_message_announces_the_head_again
        other_content_under_a_taken_id_is_refused_and_changes_nothing
        the_same_id_to_another_reader_is_another_message
        the_same_id_from_two_senders_makes_two_rows
        a_full_inbox_counts_only_rows_that_no_device_has_acked
        a_repeat_to_a_full_inbox_is_accepted
        an_ack_by_one_of_two_devices_keeps_the_row_and_by_both_removes_it
        the_other_devices_of_a_sender_are_owed_a_copy_and_the_sending_one_is_not
        nothing_is_left_of_a_message_but_its_dedupe_entry_and_its_place_in_the_conversation
        a_receipt_goes_out_once_per_device
        an_ack_said_twice_is_said_once
        an_ack_beyond_the_end_is_cut
        an_ack_of_a_device_nobody_knows_is_refused
        a_new_device_skips_what_any_device_has_acked
        the_device_unseen_for_longest_makes_room_for_a_new_one
        a_device_unseen_for_too_long_is_forgotten_by_the_sweep
        a_device_that_was_seen_is_not_forgotten
        a_device_that_lags_too_far_is_told_to_resync
        a_row_expires_at_its_age_exactly
        an_expired_row_was_never_delivered
        a_message_is_expired_for_its_sender_before_the_sweep_has_come
        an_ack_of_an_expired_row_is_none_and_of_a_young_one_beside_it_counts
        a_row_that_some_device_acked_expires_as_delivered
        an_expired_row_makes_room_in_a_full_inbox
        a_dedupe_entry_is_forgotten_at_twice_the_age
        a_message_accepted_anew_keeps_its_entry_when_the_old_one_is_swept_in_the_same_commit
        a_sweep_of_many_rows_goes_step_by_step_through_all_of_them
        a_sweep_passes_over_young_rows_without_looking_at_them
        the_states_of_messages_are_told_in_the_order_asked
        five_thousand_requests_become_batches_that_the_engine_takes
        an_empty_store_is_given_a_layout_and_found_with_it_again
        a_store_of_another_layout_is_refused_by_its_number
        a_store_that_is_not_ours_is_refused
        a_store_that_is_not_ours_is_refused_wherever_its_keys_stand;
    access:
        a_banned_user_is_not_attached_and_becomes_no_device
        a_ban_of_a_device_is_one_of_that_device
        a_ban_and_a_login_in_one_commit_take_effect_in_their_order
        what_is_forbidden_is_so_after_a_restart
        a_ban_that_is_lifted_leaves_no_record
        a_change_said_again_is_written_and_announced_again
        messages_to_a_banned_user_are_accepted_and_wait
        a_damaged_record_of_access_lets_nobody_in_and_hinders_nobody_else
        bans_are_listed_in_pages_by_the_number_of_the_user
        a_listing_looks_at_so_many_records_and_says_where_it_stopped;
    page:
        a_page_has_the_rows_asked_for_in_order
        a_page_ends_at_its_limit_and_says_where
        a_page_passes_over_holes
        a_page_ends_before_the_row_that_would_make_it_too_large
        a_page_has_one_row_however_large
        a_page_leaves_out_rows_that_are_too_old
        a_page_of_an_empty_inbox_was_looked_through
        a_page_never_shows_another_readers_rows;
    people:
        changes_do_not_fill_an_inbox_beyond_its_bound
        a_full_inbox_takes_no_notice_and_nothing_is_changed
        whoever_asks_again_with_other_words_is_no_news
        strangers_who_ask_keep_nobody_from_blocking_and_agreeing
        conversations_of_one_millisecond_are_listed_in_pages_too;
    restore:
        no_number_from_before_a_restore_is_given_out_after_it
        numbers_that_a_restore_passed_over_count_for_nobody
        rows_on_both_sides_of_the_numbers_passed_over_go_with_the_device_that_held_them
        rows_that_an_older_inbox_does_not_know_are_still_owed_after_a_salvage
        two_users_whose_conversation_was_lost_go_on_with_it_after_a_salvage
        a_group_whose_record_was_lost_goes_on_after_a_salvage;
    history:
        a_hole_in_a_conversation_hides_nothing_that_is_older
        what_is_over_and_still_there_hides_nothing_that_is_older;
    hooks:
        events_go_when_their_receiver_has_them
        a_message_that_a_device_has_is_not_looked_at_when_it_would_be_parked
        the_queue_is_as_long_as_it_may_be_however_fast_it_grows
        what_is_parked_is_told_once_however_much_of_it_there_is
        events_wait_on_a_disk_that_is_nearly_full
        no_event_takes_the_place_of_another_after_a_salvage;
}
